import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { groupOf, restoreInOwnCgroup } from "./criu-options.ts";

describe("the control group that runc names for a container", () => {
  const owner = { id: "c1", ownCgroup: "/system.slice/hull.service" };
  test.each([
    [false, "/k8s.io/c1", "/k8s.io/c1"],
    [false, "/k8s.io/a:b:c1", "/k8s.io/a:b:c1"],
    [false, "/a/../../b//c1", "/b/c1"],
    [false, "below/c1", "/system.slice/below/c1"],
    [false, "../../c1", "/system.slice/c1"],
    [false, "", "/system.slice/c1"],
    [
      true,
      "kubepods-burstable-pod1.slice:cri:c1",
      "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-c1.scope",
    ],
    [true, "-.slice:cri:c1", "/cri-c1.scope"],
    [true, "a.slice::c1", "/a.slice/c1.scope"],
    [true, ":cri:c1", "/system.slice/cri-c1.scope"],
    [true, "a.slice:cri:a-b.slice", "/a.slice/a-b.slice"],
    [true, "", "/system.slice/runc-c1.scope"],
  ])("systemd %p, %p: %p", (systemdCgroup, path, expected) => {
    expect(groupOf(path, { ...owner, systemdCgroup })).toBe(expected);
  });

  test.each(["/k8s.io/c1", "a:b", "kubepods:cri:c1", "a/b.slice:cri:c1"])("%p is none of systemd's", (path) => {
    expect(() => groupOf(path, { ...owner, systemdCgroup: true })).toThrow(path.split(":")[0]);
  });
});

describe("options of a restored container", () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "hull-criu-"));
  });
  afterAll(() => rmSync(directory, { recursive: true }));
  const owner = { id: "c1", systemdCgroup: false, ownCgroup: "/" };
  const spec = { linux: { cgroupsPath: "/k8s.io/c1" } };

  test("name the group, and the spec names them", () => {
    const file = join(directory, "criu.conf");
    const changed = restoreInOwnCgroup({ ...spec, annotations: { a: "b", "org.criu.config": "" } }, file, owner);
    expect(changed).toEqual({ a: "b", "org.criu.config": file });
    expect(readFileSync(file, "utf8")).toBe('cgroup-root ":/k8s.io/c1"\n');
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  test("have those of the spec's own file behind them", () => {
    const [own, file] = [join(directory, "own.conf"), join(directory, "both.conf")];
    writeFileSync(own, "tcp-established\n");
    restoreInOwnCgroup({ ...spec, annotations: { "org.criu.config": own } }, file, owner);
    expect(readFileSync(file, "utf8")).toBe('cgroup-root ":/k8s.io/c1"\ntcp-established\n');
    restoreInOwnCgroup({ ...spec, annotations: { "org.criu.config": join(directory, "none") } }, file, owner);
    expect(readFileSync(file, "utf8")).toBe('cgroup-root ":/k8s.io/c1"\n');
  });

  test.each(['/a"b', "/a#b", "/a\nb", "/a\\b"])("can't hold %p", (cgroupsPath) => {
    expect(() => restoreInOwnCgroup({ linux: { cgroupsPath } }, join(directory, "no"), owner)).toThrow(
      "CRIU's options",
    );
  });
});
