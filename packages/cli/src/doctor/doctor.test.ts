import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseMountInfo } from "@hull/sys/mount-info";
import type { Status } from "./finding.ts";
import { examine } from "./index.ts";
import { thisMachine } from "./machine.ts";
import { countsOf, reportJson, reportText } from "./report.ts";
import { doctor } from "./run.ts";
import { readSetup } from "./setup.ts";
import { type FakeOptions, fakeMachine, network, setupOf } from "./testing.ts";
import { isOlder } from "./versions.ts";

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "hull-doctor-"));
  mkdirSync(join(directory, "net.d"));
  writeFileSync(join(directory, "net.d", "10-pods.conflist"), network);
});
afterAll(() => rmSync(directory, { recursive: true }));

const netD = (): string => join(directory, "net.d");

/** What isn't well, as `status area: name`. */
async function amiss(options: FakeOptions, setup = setupOf(netD())): Promise<string[]> {
  const areas = await examine(fakeMachine(options), setup);
  return areas.flatMap(({ name, findings }) =>
    findings.flatMap((each) => {
      expect([each.name, each.fix === undefined]).toEqual([each.name, each.status === "ok"]);
      return each.status === "ok" ? [] : `${each.status} ${name}: ${each.name}`;
    }),
  );
}

const gone = undefined;

const cases: readonly [what: string, found: string, options: FakeOptions][] = [
  ["another user", "fail rights: user", { isRoot: false }],
  ["few rights", "fail rights: capabilities", { capabilities: ["CAP_SYS_RESOURCE"] }],
  ["an old kernel", "fail kernel: version", { kernel: "4.19.0-1-amd64" }],
  ["a kernel of some years", "warn kernel: version", { kernel: "5.15.0" }],
  ["no kind of namespace", "fail kernel: namespaces", { files: { "/proc/self/ns/pid": gone } }],
  ["no user namespaces", "warn kernel: user namespaces", { files: { "/proc/sys/user/max_user_namespaces": "0\n" } }],
  ["no seccomp", "warn kernel: seccomp", { files: { "/proc/self/status": "Name: hull\n" } }],
  ["no pidfd", "fail kernel: pidfd", { hasPidfd: () => false }],
  ["no veth", "fail kernel: veth", { kernelOption: (name) => (name === "CONFIG_VETH" ? "n" : "y") }],
  [
    "no bridge",
    "warn kernel: bridge",
    {
      kernelOption: (name) => (name === "CONFIG_BRIDGE" ? "m" : "y"),
      files: { "/proc/sys/net/bridge/bridge-nf-call-iptables": gone },
    },
  ],
  ["version 1 of groups", "warn control groups: version", { cgroups: "v1" }],
  ["no groups", "fail control groups: version", { cgroups: "none" }],
  [
    "no memory controller",
    "fail control groups: controllers",
    { files: { "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io hugetlb pids\n" } },
  ],
  [
    "no hugetlb controller",
    "warn control groups: controllers",
    { files: { "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n" } },
  ],
  ["no pressure", "warn control groups: pressure", { files: { "/proc/pressure/cpu": gone } }],
  ["systemd", "warn control groups: driver", { files: { "/run/systemd/system": "" } }],
  [
    "no runtime",
    'fail runtimes: handler "runc"',
    { programs: { "/usr/bin/crun --version": gone, "/usr/bin/crun features": gone } },
  ],
  [
    "a broken runtime",
    'fail runtimes: handler "runc"',
    { programs: { "/usr/bin/crun --version": { status: 127, output: "libyajl.so.2: not found" } } },
  ],
  [
    "an old runtime",
    'warn runtimes: handler "runc"',
    { programs: { "/usr/bin/crun --version": "crun version 1.3\n" } },
  ],
  [
    "a runtime without features",
    'warn runtimes: handler "runc", features',
    { programs: { "/usr/bin/crun features": "{}" } },
  ],
  [
    "no criu",
    "warn runtimes: checkpoints",
    { programs: { "/usr/sbin/criu --version": gone, "/usr/sbin/criu check": gone } },
  ],
  ["an old criu", "warn runtimes: checkpoints", { programs: { "/usr/sbin/criu --version": "Version: 3.15\n" } }],
  [
    "a criu that fails",
    "warn runtimes: checkpoints",
    { programs: { "/usr/sbin/criu check": { status: 1, output: "Error (x): no" } } },
  ],
  ["no plugin", 'fail network: plugins of "pods"', { files: { "/opt/cni/bin/host-local": gone } }],
  [
    "an old plugin",
    'fail network: plugins of "pods"',
    { programs: { "/opt/cni/bin/portmap": '{"supportedVersions":["0.4.0"]}' } },
  ],
  ["no forwarding", "fail network: forwarding", { files: { "/proc/sys/net/ipv4/ip_forward": "0\n" } }],
  [
    "no forwarding of IPv6",
    "warn network: forwarding of IPv6",
    { files: { "/proc/sys/net/ipv6/conf/all/forwarding": "0\n" } },
  ],
  [
    "no filtering on bridges",
    "warn network: filtering on bridges",
    { files: { "/proc/sys/net/bridge/bridge-nf-call-iptables": "0\n" } },
  ],
  ["no filter", "warn network: packet filter", { programs: { "/usr/sbin/nft": gone } }],
  ["a resolver of its own", "warn network: resolver", { files: { "/etc/resolv.conf": "nameserver 127.0.0.53\n" } }],
  ["no overlay", "fail storage: snapshotter", { overlayProblem: () => "no" }],
  ["little room", "warn storage: room", { space: { free: 10 * 2 ** 30 } }],
  ["no room", "fail storage: room", { space: { free: 2 ** 29 } }],
  ["few inodes", "warn storage: room", { space: { inodesFree: 1 } }],
  ["state on a disk", "warn storage: state", { space: { type: "ext4" } }],
  ["private mounts", "warn storage: mounts", { mounts: () => parseMountInfo("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n") }],
  ["few open files", "warn limits: open files", { openFiles: { soft: 1024n, hard: 4096n } }],
  [
    "few instances of inotify",
    "warn limits: inotify instances",
    { files: { "/proc/sys/fs/inotify/max_user_instances": "128\n" } },
  ],
  ["swap", "warn limits: swap", { files: { "/proc/swaps": "Filename\n/dev/sda2 partition 1 0 -2\n" } }],
  [
    "half an AppArmor",
    "fail security: AppArmor",
    { files: { "/sys/kernel/security/apparmor/profiles": "", "/sys/module/apparmor/parameters/enabled": "Y\n" } },
  ],
  ["SELinux without labels", "warn security: SELinux", { files: { "/sys/fs/selinux/enforce": "1" } }],
];

describe("the doctor", () => {
  test("finds nothing amiss on a good host", async () => expect(await amiss({})).toEqual([]));

  test.each(cases)("finds %s: %s", async (_, found, options) => {
    expect(await amiss(options)).toContain(found);
  });

  test("finds nothing else amiss where the score can't be lowered", async () => {
    const capabilities = fakeMachine().capabilities.filter((name) => name !== "CAP_SYS_RESOURCE");
    expect(await amiss({ capabilities })).toEqual(["warn rights: OOM score"]);
  });

  test("takes runc where crun refuses the control groups", async () => {
    const v1 = Object.fromEntries(
      ["cpu", "memory", "pids", "cpuset", "blkio", "hugetlb"].map((name) => [`/sys/fs/cgroup/${name}`, ""]),
    );
    const files = { ...v1, "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes": "", "/usr/bin/runc": "" };
    const programs = {
      "/usr/bin/runc --version": "runc version 1.1.5+ds1\n",
      "/usr/bin/runc features": '{"linux":{"seccomp":{"enabled":true}}}',
    };
    const features = 'warn runtimes: handler "runc", features';
    expect(await amiss({ cgroups: "hybrid", files, programs })).toEqual(["warn control groups: version", features]);
    expect(await amiss({ cgroups: "hybrid", files })).toContain('fail runtimes: handler "runc"');
  });

  test("looks at what the configuration asks for", async () => {
    const handlers = (runtimes: Record<string, unknown>) =>
      setupOf(netD(), { runtime: { cni: { conf_dir: netD() }, containerd: { runtimes } } });
    expect(await amiss({}, handlers({ runc: {}, kata: { runtime_type: "io.containerd.kata.v2" } }))).toEqual([
      'warn runtimes: handler "kata"',
    ]);
    expect(await amiss({}, handlers({ runc: { options: { BinaryName: "/opt/runc" } } }))).toEqual([
      'fail runtimes: handler "runc"',
    ]);
    expect(await amiss({}, handlers({ runc: { options: { SystemdCgroup: true } } }))).toEqual([
      "fail control groups: driver",
    ]);
    expect(await amiss({ overlayProblem: () => "no" }, setupOf(netD(), { images: { snapshotter: "native" } }))).toEqual(
      [],
    );
    expect(await amiss({}, setupOf(join(directory, "none")))).toEqual(["warn network: configuration"]);
    expect(await amiss({}, setupOf(netD(), { runtime: { cni: { conf_dir: netD() }, enable_selinux: true } }))).toEqual([
      "fail security: SELinux",
    ]);
  });

  test("knows what an old crun can do that doesn't tell", async () => {
    const version = "crun version 1.8.1\nspec: 1.0.0\n+SYSTEMD +SECCOMP +YAJL\n";
    expect(await amiss({ programs: { "/usr/bin/crun --version": version, "/usr/bin/crun features": gone } })).toEqual(
      [],
    );
  });

  test("finds a SELinux whose policy knows no containers", async () => {
    const files = { "/sys/fs/selinux/enforce": "1", "/etc/selinux/config": "SELINUXTYPE=targeted\n" };
    const setup = setupOf(netD(), { runtime: { cni: { conf_dir: netD() }, enable_selinux: true } });
    expect(await amiss({ files }, setup)).toEqual(["warn security: SELinux"]);
    const contexts = 'process = "u:r:container_t:s0"\nfile = "u:r:container_file_t:s0"\n';
    const known = { ...files, "/etc/selinux/targeted/contexts/lxc_contexts": contexts };
    expect(await amiss({ files: known }, setup)).toEqual([]);
  });

  test("says where a network's file is broken", async () => {
    const broken = join(directory, "broken.d");
    mkdirSync(broken);
    writeFileSync(join(broken, "1.conflist"), "{");
    expect(await amiss({}, setupOf(broken))).toEqual(["fail network: configuration"]);
  });

  test("goes on after a check that can't be made", async () => {
    const space = () => {
      throw new Error("no such file system");
    };
    const areas = await examine({ ...fakeMachine(), space }, setupOf(netD()));
    const storage = areas.find(({ name }) => name === "storage")?.findings ?? [];
    expect(storage[0]).toMatchObject({ status: "warn", detail: "can't be known: no such file system" });
    expect(areas.at(-1)?.name).toBe("security");
  });

  test("looks at any host to the end", async () => {
    const areas = await examine(thisMachine(), readSetup(undefined, { root: directory, state: directory }));
    expect(areas).toHaveLength(8);
    for (const { findings } of areas) expect(findings.length).toBeGreaterThan(0);
  });

  test("reads the daemon's configuration", () => {
    const file = join(directory, "config.toml");
    writeFileSync(
      file,
      `version = 3\nroot = "/r"\n[plugins."io.containerd.cri.v1.runtime".cni]\nconf_dir = "/c"
[plugins."io.containerd.runtime.v2.task"]\noci_runtime = "crun"\n`,
    );
    const setup = readSetup(file, {});
    expect(setup).toMatchObject({ root: "/r", state: "/run/hull", ociRuntime: "crun" });
    expect(setup.cri.runtime.cni.conf_dir).toBe("/c");
    expect(readSetup(file, { root: "/other" }).root).toBe("/other");
    expect(() => readSetup(join(directory, "none.toml"), {})).toThrow("none.toml");
  });
});

test.each([
  ["5.15.0-1-amd64", "5.6", false],
  ["5.4.0", "5.6", true],
  ["1.1.5+ds1", "1.1.0", false],
  ["1.0.3~rc1", "1.1.0", true],
  ["3.16", "3.16", false],
  ["6", "6.3", true],
  ["", "1.0", true],
])("%s is older than %s: %s", (version, than, older) => expect(isOlder(version, than)).toBe(older));

test("hull doctor prints its findings and exits by them", async () => {
  const printed: string[] = [];
  const host = { env: {}, out: async (data: string | Uint8Array) => void printed.push(`${data}`), err: () => {} };
  const globals = {
    address: undefined,
    namespace: "default",
    root: directory,
    state: directory,
    snapshotter: "overlayfs",
  };
  const status = await doctor({
    args: [],
    flags: { config: undefined, json: true, quiet: false },
    globals: { ...globals, debug: false, version: false },
    given: new Set(),
    host,
    help: async () => 0,
  });
  const report = JSON.parse(printed.join(""));
  expect(report.areas).toHaveLength(8);
  expect(status).toBe(report.ok ? 0 : 1);
});

describe("the report", () => {
  const finding = (name: string, status: Status) => ({
    name,
    status,
    detail: `${name} is ${status}`,
    ...(status === "ok" ? {} : { fix: "mend" }),
  });
  const areas = [
    { name: "one", findings: [finding("first", "ok"), finding("second", "warn")] },
    { name: "two", findings: [finding("third", "ok")] },
  ];

  test("has a line for each finding, and how to mend it", () => {
    expect(reportText(areas, { quiet: false })).toBe(`one
  ok    first   first is ok
  warn  second  second is warn
                → mend

two
  ok    third   third is ok

2 ok, 1 to consider, 0 to mend: this host can be a node
`);
  });

  test("leaves out what is well", () => {
    expect(reportText(areas, { quiet: true })).toBe(`one
  warn  second  second is warn
                → mend

2 ok, 1 to consider, 0 to mend: this host can be a node
`);
    expect(reportText([areas[1] ?? { name: "", findings: [] }], { quiet: true })).toBe(
      "1 ok, 0 to consider, 0 to mend: this host is ready\n",
    );
  });

  test("is JSON for programs", () => {
    const failed = [...areas, { name: "three", findings: [finding("fourth", "fail")] }];
    expect(JSON.parse(reportJson(failed))).toEqual({ ok: false, summary: { ok: 2, warn: 1, fail: 1 }, areas: failed });
    expect(JSON.parse(reportJson(areas)).ok).toBe(true);
    expect(countsOf([])).toEqual({ ok: 0, warn: 0, fail: 0 });
  });
});
