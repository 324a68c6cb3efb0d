import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isCode } from "@hull/errors";
import fc from "fast-check";
import { parseImageConfig } from "../manifest.ts";
import * as s from "../spec.ts";

// What `ctr containers create` of containerd 1.6.20 wrote; `seccomp.json` is of containerd 2.1.9.
const golden = (name: string) =>
  JSON.parse(readFileSync(join(import.meta.dir, "golden", `${name}.json`), "utf8")) as s.Spec;

const files = {
  passwd: "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/:/bin/sh\nweb:x:101:102::/home/web:/bin/sh\n",
  group: "root:x:0:\nwebg:x:102:\nextra:x:500:web,other\nwheel:x:10:root,web\n",
};
const config = (value: object) =>
  parseImageConfig("config", new TextEncoder().encode(JSON.stringify({ config: value })));
const plain = config({ Cmd: ["/bin/sh"] });
const full = config({
  User: "web",
  Env: ["FOO=bar"],
  Entrypoint: ["/bin/sh"],
  Cmd: ["-c", "echo hi"],
  WorkingDir: "/work",
});
// The image of the goldens was built with its command as a whole in Cmd.
const commanded = config({ User: "web", Env: ["FOO=bar"], Cmd: ["/bin/sh", "-c", "echo hi"], WorkingDir: "/work" });

function build(name: string, image: typeof plain, args: string[], ...steps: s.SpecMiddleware[]): s.Spec {
  return s.buildSpec(
    s.defaultSpec({ namespace: "default", id: `c-${name}` }),
    s.withImageConfig(image, args),
    s.withUser(s.resolveUser(image.config.user, files)),
    ...steps,
  );
}

/** Through JSON, and with the one path that newer containerds mask put into the older's answer. */
function same(spec: s.Spec, name: string): void {
  const expected = golden(name);
  expected.linux.maskedPaths?.splice(9, 0, "/sys/devices/virtual/powercap");
  expect(JSON.parse(JSON.stringify(spec))).toEqual(expected);
}

describe("the spec equals what containerd's ctr writes", () => {
  const cases: Record<string, s.Spec> = {
    default: build("default", plain, []),
    image: build("image", commanded, []),
    "image-args": build("image-args", commanded, ["echo", "one", "two"]),
    env: build("env", commanded, [], s.withEnv(["A=1", "FOO=other", "PATH=/bin"])),
    cwd: build("cwd", commanded, [], s.withCwd("/tmp")),
    mount: build(
      "mount",
      plain,
      [],
      s.withMounts([
        { type: "bind", source: "/tmp", destination: "/host", options: ["rbind", "ro"] },
        { type: "tmpfs", source: "tmpfs", destination: "/tmp" },
      ]),
    ),
    nethost: build("nethost", plain, [], s.withHostNetwork("vm")),
    memory: build("memory", plain, [], s.withMemoryLimit(67108864)),
    readonly: build("readonly", plain, [], s.withReadOnlyRoot),
    tty: build("tty", plain, [], s.withTty),
    caps: build(
      "caps",
      plain,
      [],
      s.withAddedCapabilities(["CAP_SYS_ADMIN"]),
      s.withDroppedCapabilities(["CAP_MKNOD"]),
    ),
    device: build(
      "device",
      plain,
      [],
      s.withDevices([{ path: "/dev/null", type: "c", major: 1, minor: 3, fileMode: 0o666, uid: 0, gid: 0 }]),
    ),
    annotation: build("annotation", plain, [], s.withAnnotations({ a: "b" })),
    newprivs: build("newprivs", plain, [], s.withNoNewPrivileges(false)),
    withns: build("withns", plain, [], s.withNamespace({ type: "network", path: "/var/run/netns/x" })),
    cpu: build("cpu", plain, [], s.withCpu({ quota: 50000, period: 100000 })),
    rootfsprop: build("rootfsprop", plain, [], s.withRootfsPropagation("rslave")),
    privileged: build(
      "privileged",
      plain,
      [],
      s.withPrivileged({
        capabilities: ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"],
        devices: golden("privileged").linux.devices,
      }),
    ),
  };
  for (const [name, spec] of Object.entries(cases)) test(name, () => same(spec, name));

  test("seccomp", () => {
    const seccomp = s.defaultSeccomp({ architecture: "amd64", capabilities: s.defaultCapabilities });
    expect(JSON.parse(JSON.stringify(seccomp))).toEqual(golden("seccomp") as unknown);
    const admin = s.defaultSeccomp({ architecture: "amd64", capabilities: ["CAP_SYS_ADMIN"] });
    expect(admin.syscalls?.some((rule) => rule.names.includes("mount"))).toBe(true);
    expect(admin.syscalls?.some((rule) => rule.errnoRet === 38)).toBe(false);
  });
});

describe("steps", () => {
  test("an entry point stays in front of given arguments", () => {
    expect(build("x", full, ["-v"]).process.args).toEqual(["/bin/sh", "-v"]);
    expect(build("x", full, []).process.args).toEqual(["/bin/sh", "-c", "echo hi"]);
  });

  test("an image without a program needs one", () => {
    expect(() => build("x", config({}), [])).toThrow("names no program to run");
  });

  test("a step changes nothing of the spec it got", () => {
    const start = s.defaultSpec({ namespace: "n", id: "i" });
    const before = JSON.stringify(start);
    s.buildSpec(start, s.withPrivileged({ capabilities: [] }), s.withTty, s.withEnv(["A=b"]), s.withMemoryLimit(1));
    expect(JSON.stringify(start)).toBe(before);
  });

  test("an environment has each name once, the last value wins", () => {
    const entry = fc.tuple(fc.constantFrom("A", "B", "C"), fc.option(fc.string({ unit: "grapheme-ascii" })));
    fc.assert(
      fc.property(fc.array(entry), (entries) => {
        const changes = entries.map(([name, value]) => (value === null ? name : `${name}=${value}`));
        const env = build("x", plain, [], s.withEnv(changes)).process.env ?? [];
        for (const name of ["A", "B", "C"]) {
          const last = entries.findLast(([key]) => key === name);
          const expected = last === undefined || last[1] === null ? [] : [`${name}=${last[1]}`];
          expect(env.filter((item) => item.startsWith(`${name}=`))).toEqual(expected);
        }
      }),
    );
  });

  test("bad values are refused", () => {
    expect(() => s.withCwd("tmp")).toThrow('working directory "tmp"');
    expect(() => s.withMemoryLimit(-1)).toThrow("memory limit -1");
    expect(() => s.withCapabilities(["net_admin"])).toThrow('capability "net_admin"');
  });
});

describe("users are resolved as containerd does", () => {
  // Each from `ctr containers create` of an image with that user.
  const cases: Record<string, s.SpecUser> = {
    "": { uid: 0, gid: 0, additionalGids: [0, 10] },
    web: { uid: 101, gid: 102, additionalGids: [102, 500, 10] },
    "101": { uid: 101, gid: 102, additionalGids: [102, 500, 10] },
    "0:500": { uid: 0, gid: 500, additionalGids: [500, 10] },
    "web:extra": { uid: 101, gid: 500, additionalGids: [500, 10] },
    "4242": { uid: 4242, gid: 0, additionalGids: [0] },
    "web:102": { uid: 101, gid: 102, additionalGids: [102, 500, 10] },
  };
  for (const [user, expected] of Object.entries(cases))
    test(JSON.stringify(user), () => expect(s.resolveUser(user, files)).toEqual(expected));

  test("what isn't there is named", () => {
    expect(() => s.resolveUser("nobody", files)).toThrow('user "nobody" is not in the image\'s /etc/passwd');
    expect(() => s.resolveUser("web:none", files)).toThrow('group "none" is not in the image\'s /etc/group');
    expect(() => s.resolveUser("4294967296", files)).toThrow("is not between");
    expect(() => s.resolveUser("a:b:c", files)).toThrow("of the form");
  });

  test("any texts give a user or one of the errors", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), (user, passwd, group) => {
        try {
          const result = s.resolveUser(user, { passwd, group });
          expect(result.uid).toBeGreaterThanOrEqual(0);
        } catch (error) {
          expect(isCode(error, "notFound") || isCode(error, "invalidArgument")).toBe(true);
        }
      }),
    );
  });
});
