import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { NamespaceMode, type PodSandboxConfig } from "@hull/api/gen/cri/v1/cri";
import { contextFor } from "@hull/engine/context";
import { cgroupAt, createCgroup, removeCgroup } from "@hull/sys/cgroup";
import { PodsFixture, podConfig } from "./fixture.ts";

const ctx = contextFor("k8s.io");
const parent = `/hull-stand-ins-${process.pid}`;
const cgroup = cgroupAt(parent);
/** One of the trees is as good as another. */
const place = Object.values(cgroup.controllers)[0] ?? cgroup.unified ?? "";

function below(config: PodSandboxConfig, cgroupParent = parent): PodSandboxConfig {
  if (config.linux !== undefined) config.linux.cgroupParent = cgroupParent;
  return config;
}

const inodeOf = (path: string): number | undefined => statSync(path, { throwIfNoEntry: false })?.ino;

describe.skipIf(process.getuid?.() !== 0)("what shows a pod without a process (needs root)", () => {
  test("a group of its name, a container, and a task that is in its network; all go when it stops", async () => {
    createCgroup(cgroup);
    try {
      await using fixture = new PodsFixture();
      const id = await fixture.run(below(podConfig("web", { labels: { "io.kubernetes.pod.name": "web" } })));
      expect(readdirSync(place)).toContain(id);
      expect(readFileSync(join(place, id, "cgroup.procs"), "utf8")).toBe("");
      const shown = fixture.standIns.find(ctx, id);
      expect(shown?.container).toMatchObject({
        id,
        image: "registry.k8s.io/pause:3.10.2",
        labels: { "io.kubernetes.pod.name": "web", "io.cri-containerd.kind": "sandbox" },
      });
      const pid = shown?.pid() ?? 0;
      expect(shown?.pid()).toBe(pid);
      const { net = "" } = fixture.store.get(id).namespaces;
      expect(readlinkSync(`/proc/${pid}/ns/net`)).toBe(`net:[${statSync(net).ino}]`);
      await fixture.pods.stop(id);
      expect(existsSync(join(place, id))).toBe(false);
      expect(existsSync(`/proc/${pid}`)).toBe(false);
      expect(fixture.standIns.find(ctx, id)).toBeUndefined();
    } finally {
      removeCgroup(cgroup);
    }
  });

  test("after a restart of the daemon it is shown anew, so that whoever follows groups asks again", async () => {
    createCgroup(cgroup);
    try {
      await using fixture = new PodsFixture();
      const id = await fixture.run(below(podConfig("web")));
      const before = statSync(join(place, id)).ino;
      fixture.standIns.delete(ctx, id);
      await fixture.restart();
      expect(fixture.standIns.find(ctx, id)?.pid()).toBeGreaterThan(0);
      expect(statSync(join(place, id)).ino).toBe(before);
      for (let tries = 0; tries < 2000 && inodeOf(join(place, id)) === before; tries++) await Bun.sleep(10);
      expect(statSync(join(place, id)).ino).not.toBe(before);
      await fixture.pods.stop(id);
      expect(readdirSync(place)).not.toContain(id);
    } finally {
      removeCgroup(cgroup);
    }
  });

  test("the group of one that never became ready is removed when the daemon is back, whoever made it", async () => {
    createCgroup(cgroup);
    try {
      await using fixture = new PodsFixture();
      fixture.flag("hang-ADD", true);
      const caller = new AbortController();
      const running = fixture.run(below(podConfig("half")), caller.signal);
      running.catch(() => undefined);
      while (fixture.calls().length === 0) await Bun.sleep(10);
      const [record] = await fixture.metadata.stores.sandboxes.list(ctx);
      const id = record?.id ?? "";
      createCgroup(cgroupAt(`${parent}/${id}`));
      // What the daemon would do is kept from happening: it is dead.
      fixture.flag("hang-ADD", false);
      await fixture.restart();
      expect(readdirSync(place)).not.toContain(id);
      caller.abort();
      await running.catch(() => undefined);
    } finally {
      removeCgroup(cgroup);
    }
  });

  test("in the host's network the daemon stands for it; without a parent's group there is none", async () => {
    await using fixture = new PodsFixture();
    const host = await fixture.run(below(podConfig("host", { hostname: "" }, { network: NamespaceMode.NODE })));
    expect(fixture.standIns.find(ctx, host)?.pid()).toBe(process.pid);
    expect(existsSync(place)).toBe(false);
    await fixture.pods.remove(host);
  });
});
