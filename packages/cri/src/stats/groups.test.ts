import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cgroupOf } from "@hull/sys/cgroup";
import fc from "fast-check";
import { Groups, groupPath } from "./groups.ts";

const bytes = (path: string): Uint8Array => Buffer.from(path);

describe("a control group", () => {
  test("is named as specs and kubelets name it", () => {
    expect(groupPath("/kubepods/burstable/pod1/id")).toBe("/kubepods/burstable/pod1/id");
    expect(groupPath("k8s.io/id")).toBe("/k8s.io/id");
    expect(groupPath("kubepods-burstable-pod1.slice:cri-containerd:id")).toBe(
      "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-id.scope",
    );
    expect(groupPath(":p:id")).toBe("/system.slice/p-id.scope");
    expect(groupPath("-.slice::id")).toBe("/id.scope");
    expect(groupPath("/kubepods.slice/kubepods-burstable.slice")).toBe("/kubepods.slice/kubepods-burstable.slice");
    expect(groupPath("kubepods-burstable.slice")).toBe("/kubepods.slice/kubepods-burstable.slice");
    expect(groupPath("")).toBeUndefined();
    expect(groupPath("/a/../../b")).toBeUndefined();
  });

  test("is never outside the tree, whatever it is called", () => {
    fc.assert(
      fc.property(fc.string(), (path) => {
        const place = groupPath(path);
        if (place === undefined) return;
        expect(place.startsWith("/")).toBe(true);
        expect(place.split("/")).not.toContain("..");
      }),
    );
  });

  test("has a directory for each controller, or one for all", () => {
    const v1 = new Groups(() => ({ controllers: { memory: "/m", "name=systemd": "/s" }, unified: "/u" })).at("/x");
    expect(v1).toMatchObject({ version: 1, memory: bytes("/m/x/") });
    expect(v1?.pids).toBeUndefined();
    const v2 = new Groups(() => ({ controllers: { "name=systemd": "/s" }, unified: "/u" })).at("/x");
    expect(v2).toMatchObject({ version: 2, memory: bytes("/u/x/"), pids: bytes("/u/x/") });
    expect(new Groups(() => ({ controllers: {} })).at("/x")).toBeUndefined();
  });

  test("is where the process is, if it isn't where systemd would have it", () => {
    const directory = mkdtempSync(join(tmpdir(), "hull-groups-"));
    try {
      const groups = new Groups(() => ({ controllers: { memory: directory } }));
      const asked = "test.slice:cri-containerd:id";
      expect(groups.ofContainer("/x", process.pid)?.memory).toEqual(bytes(`${directory}/x/`));
      expect(groups.ofContainer(asked, process.pid)?.cgroup).toEqual(
        expect.objectContaining({ controllers: cgroupOf(process.pid).controllers }),
      );
      expect(groups.ofContainer(asked, 2 ** 22 + 1)).toBeUndefined();
      mkdirSync(join(directory, "test.slice", "cri-containerd-id.scope"), { recursive: true });
      const found = bytes(`${directory}/test.slice/cri-containerd-id.scope/`);
      expect(groups.ofContainer(asked, process.pid)?.memory).toEqual(found);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
