import { describe, expect, test } from "bun:test";
import { HullError, isCode } from "@hull/errors";
import fc from "fast-check";
import { applyEdits, parseCdiDocument, parseQualifiedName } from "../cdi.ts";
import { buildSpec, defaultSpec, withUser } from "../spec.ts";

const device = (edits: object, more: object = {}): object => ({
  cdiVersion: "1.1.0",
  kind: "vendor.com/net",
  devices: [{ name: "one", containerEdits: edits }],
  ...more,
});
const env = { env: ["A=1"] };
const problemOf = (value: unknown): string => {
  try {
    parseCdiDocument(value);
    return "none";
  } catch (error) {
    return HullError.from(error).message;
  }
};
const gone = () => ({ problem: "no such file or directory" });
const apply = (edits: object, spec = defaultSpec({ namespace: "n", id: "i" })) => {
  const found = parseCdiDocument(device(edits)).devices.get("one");
  if (found === undefined) throw new Error("no device");
  return applyEdits(spec, found, gone);
};

describe("names", () => {
  test("qualified ones, and what is none", () => {
    expect(parseQualifiedName("vendor.com/class=dev:0.1")).toEqual({
      vendor: "vendor.com",
      class: "class",
      name: "dev:0.1",
    });
    for (const text of ["/dev/null", "a/b", "a/b=", "1a/b=c", "a/b=-c", "a-/b=c", "a/b=c d", "a/b=c:", "a b/c=d"])
      expect(parseQualifiedName(text)).toBeUndefined();
  });
});

describe("documents", () => {
  test("what is wrong is named", () => {
    expect(problemOf(device(env))).toBe("none");
    expect(problemOf([])).toBe("the file is no object");
    expect(problemOf(device(env, { cdiVersion: "9.0.0" }))).toContain('cdiVersion "9.0.0" is none of');
    expect(problemOf(device(env, { kind: "novendor" }))).toContain('kind "novendor"');
    expect(problemOf(device(env, { extra: 1 }))).toBe('the file: unknown field "extra"');
    expect(problemOf(device({}))).toContain('device "one" changes nothing');
    expect(problemOf(device(env, { devices: [] }))).toBe("invalid spec, no devices");
    expect(problemOf(device({ env: ["=1"] }))).toBe('invalid environment variable "=1"');
    expect(problemOf(device({ deviceNodes: [{ path: "/dev/x", type: "q" }] }))).toContain('invalid type "q"');
    expect(problemOf(device({ hooks: [{ hookName: "never", path: "/x" }] }))).toBe('invalid hook name "never"');
    expect(problemOf(device({ mounts: [{ hostPath: "", containerPath: "/x" }] }))).toContain("hostPath is empty");
    expect(problemOf(device({ intelRdt: { closID: "a/b" } }))).toContain('closID "a/b" is invalid');
  });

  test("fields newer than the version are refused, as containerd does", () => {
    const at = (cdiVersion: string, edits: object, more: object = {}) =>
      problemOf(device(edits, { cdiVersion, ...more }));
    expect(at("0.3.0", env)).toBe("none");
    expect(at("0.3.0", { mounts: [{ hostPath: "/a", containerPath: "/b", type: "bind" }] })).toContain("v0.4.0");
    expect(at("0.4.0", { deviceNodes: [{ path: "/dev/a", hostPath: "/dev/b" }] })).toContain("v0.5.0");
    expect(at("0.5.0", env, { annotations: { a: "b" } })).toContain("v0.6.0");
    expect(at("0.6.0", { additionalGids: [5] })).toContain("v0.7.0");
    expect(at("1.0.0", { netDevices: [{ hostInterfaceName: "eth1", name: "a" }] })).toContain("v1.1.0");
  });

  test("any JSON is a document or InvalidArgument", () => {
    const shaped = fc.record(
      {
        cdiVersion: fc.constantFrom("0.3.0", "1.1.0", "x"),
        kind: fc.constantFrom("a.b/c", "a", "/"),
        devices: fc.array(
          fc.record({
            name: fc.string(),
            containerEdits: fc.dictionary(fc.constantFrom("env", "mounts", "hooks", "deviceNodes"), fc.jsonValue()),
          }),
        ),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), shaped), (value) => {
        try {
          parseCdiDocument(value);
        } catch (error) {
          expect(isCode(error, "invalidArgument")).toBe(true);
        }
      }),
    );
  });
});

describe("edits", () => {
  test("devices replace those at their paths, belong to the user, and are allowed", () => {
    const start = buildSpec(defaultSpec({ namespace: "n", id: "i" }), withUser({ uid: 7, gid: 8 }));
    const node = { path: "/dev/x", type: "c", major: 9, minor: 3, permissions: "rw" };
    const { linux } = apply({ deviceNodes: [node, { ...node, uid: 1, gid: 2, fileMode: 0o600 }] }, start);
    expect(linux.devices).toEqual([{ path: "/dev/x", type: "c", major: 9, minor: 3, fileMode: 0o600, uid: 1, gid: 2 }]);
    expect(linux.resources?.devices?.at(-1)).toEqual({ allow: true, type: "c", major: 9, minor: 3, access: "rw" });
    expect(() => apply({ deviceNodes: [{ path: "/dev/none" }] })).toThrow('failed to stat CDI host device "/dev/none"');
  });

  test("mounts replace and are sorted by depth; in a user namespace they are mapped", () => {
    const mounts = [
      { hostPath: "/h", containerPath: "/a/b/c", options: ["rbind", "ro"] },
      { hostPath: "/p", containerPath: "/proc", options: ["bind"] },
    ];
    const spec = apply({ mounts });
    expect(spec.mounts.filter(({ destination }) => destination === "/proc")).toHaveLength(1);
    expect(spec.mounts.at(-1)).toEqual({ source: "/h", destination: "/a/b/c", options: ["rbind", "ro"] });
    const start = defaultSpec({ namespace: "n", id: "i" });
    const remapped = { ...start, linux: { ...start.linux, namespaces: [{ type: "user" as const }] } };
    expect(apply({ mounts }, remapped).mounts.at(-1)?.options).toEqual(["rbind", "ro", "ridmap"]);
  });

  test("environment, groups, hooks, RDT and network devices", () => {
    const hook = { hookName: "createRuntime", path: "/bin/x", args: ["x"], env: ["A=b"], timeout: 3 };
    const spec = apply({
      env: ["A=1", "A=2"],
      additionalGids: [0, 5, 5],
      hooks: [hook],
      intelRdt: { closID: "c" },
      netDevices: [{ hostInterfaceName: "eth1", name: "net0" }],
    });
    expect(spec.process.env).toEqual(["A=2"]);
    expect(spec.process.user.additionalGids).toEqual([5]);
    expect(spec.hooks).toEqual({ createRuntime: [{ path: "/bin/x", args: ["x"], env: ["A=b"], timeout: 3 }] });
    expect(spec.linux).toMatchObject({ intelRdt: { closID: "c" }, netDevices: { eth1: { name: "net0" } } });
  });
});
