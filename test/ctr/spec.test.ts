/** The runtime spec that `hull ctr` makes of each flag, beside the one that the real `ctr` makes, both on hull. */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, writeFileSync } from "node:fs";
import { writeBusyboxImage } from "../../scripts/image.ts";
import { image } from "../support/busybox.ts";
import { type Daemon, noContainerd } from "../support/containerd.ts";
import { hullCommand, startHull } from "../support/hull.ts";
import { removeLeftovers } from "../support/leftovers.ts";
import { type Outcome, runProgram } from "../support/process.ts";
import { type Scratch, scratch } from "../support/scratch.ts";

setDefaultTimeout(120_000);
const suite = noContainerd === undefined ? describe : describe.skip;

suite(`specs by hull ctr, beside the real ctr${noContainerd === undefined ? "" : ` (skipped: ${noContainerd})`}`, () => {
  const namespace = `spec-${process.pid}`;
  let folder: Scratch;
  let daemon: Daemon;
  let count = 0;

  const run = (command: readonly string[], args: readonly string[]): Promise<Outcome> =>
    runProgram([...command, "-a", daemon.address, "-n", namespace, ...args], { timeoutMs: 30_000 });
  // A newer one by hand: with more flags, see below.
  const real = [process.env.CTR_EXECUTABLE ?? "ctr"];
  const own = [...hullCommand, "ctr"];

  beforeAll(async () => {
    folder = scratch();
    // Root of a user namespace has to come through to the bundles.
    chmodSync(folder.path, 0o711);
    daemon = await startHull(folder.path, '[plugins."io.containerd.runtime.v2.task"]\noci_runtime = "runc"\n');
    writeBusyboxImage(folder.join("busybox.tar"), image);
    expect((await run(real, ["images", "import", folder.join("busybox.tar")])).stderr).toBe("");
  });
  afterAll(async () => {
    const { stdout } = await run(real, ["containers", "ls", "-q"]);
    for (const id of stdout.split("\n").filter((line) => line !== "")) {
      await run(real, ["tasks", "rm", "-f", id]);
      await run(real, ["containers", "rm", id]);
    }
    await daemon.stop();
    folder[Symbol.dispose]();
    removeLeftovers(namespace);
  });

  /** What a client makes of the flags: a spec, or an error. */
  async function made(command: readonly string[], kind: "create" | "run", flags: readonly string[]): Promise<unknown> {
    const id = `c${count++}`;
    const verb = kind === "create" ? ["containers", "create"] : ["run", "-d", "--null-io"];
    const { status, stderr } = await run(command, [...verb, ...flags, image, id, "sleep", "600"]);
    if (status !== 0) return stderr.replaceAll(id, "ID").replaceAll(folder.path, "FOLDER");
    const { stdout } = await run(real, ["containers", "info", "--spec", id]);
    const spec = JSON.parse(stdout.replaceAll(id, "ID")) as { linux: { maskedPaths?: string[] } };
    // Newer containerds mask one path more than the ctr of this Debian.
    const masked = spec.linux.maskedPaths?.filter((path) => path !== "/sys/devices/virtual/powercap");
    return { ...spec, linux: { ...spec.linux, ...(masked === undefined ? {} : { maskedPaths: masked }) } };
  }

  async function same(kind: "create" | "run", ...flags: string[]): Promise<void> {
    const expected = await made(real, kind, flags);
    const got = await made(own, kind, flags);
    if (typeof expected === "string" || typeof got === "string") {
      const said = (made: unknown): unknown => (typeof made === "string" ? made : "a spec");
      if (said(got) !== said(expected)) differences.push(`${flags.join(" ")}: ${said(got)}; ctr: ${said(expected)}`);
      return;
    }
    const [wanted, found] = [flat(expected), flat(got)];
    for (const path of new Set([...wanted.keys(), ...found.keys()]))
      if (wanted.get(path) !== found.get(path))
        differences.push(`${flags.join(" ")}: ${path}: ${found.get(path)}, ctr ${wanted.get(path)}`);
  }

  const differences: string[] = [];
  afterEach(() => {
    expect(differences.splice(0)).toEqual([]);
  });

  /** A document's values by their paths. */
  function flat(value: unknown, path = ""): Map<string, string> {
    if (typeof value !== "object" || value === null || Object.keys(value).length === 0)
      return new Map([[path, JSON.stringify(value)]]);
    return new Map(Object.entries(value).flatMap(([key, inner]) => [...flat(inner, `${path}.${key}`)]));
  }

  const created: Record<string, string[][]> = {
    "process flags": [
      ["--cwd", "/tmp"],
      ["--env", "A=b", "--env", "PATH=/x", "--env", "C"],
      ["--tty"],
      ["--allow-new-privs"],
      ["--read-only"],
      ["--annotation", "a=b", "--annotation", "c=d", "--label", "e=f"],
    ],
    capabilities: [
      ["--cap-add", "CAP_SYS_ADMIN", "--cap-drop", "CAP_MKNOD"],
      ["--cap-add", "CAP_CHOWN"],
      ["--cap-drop", "CAP_NET_ADMIN"],
      ["--cap-add", "SYS_ADMIN"],
      ["--privileged"],
    ],
    namespaces: [
      ["--net-host"],
      ["--with-ns", "network:/var/run/netns/x", "--with-ns", "uts:/proc/1/ns/uts"],
      ["--with-ns", "user:/proc/1/ns/user"],
      ["--with-ns", "nonsense:/x"],
      ["--with-ns", "network"],
    ],
    mounts: [
      ["--mount", "type=bind,src=/tmp,dst=/host,options=rbind:ro"],
      ["--mount", "type=bind,src=/tmp,dst=/host,options=rbind:rro:rslave"],
      ["--mount", "type=tmpfs,src=tmpfs,dst=/t,options=size=64k:mode=1777:nosuid:noexec"],
      ["--mount", "type=bind,src=/tmp,dst=/a", "--mount", "type=bind,src=/tmp,dst=/a/b,options=rshared"],
      ["--mount", "nonsense"],
      ["--mount", "type=bind,other=x"],
      ["--rootfs-propagation", "rslave"],
    ],
    devices: [
      ["--device", "/dev/fuse"],
      ["--device", "/dev/net"],
      ["--device", "/dev/none"],
      ["--device", "/etc/passwd"],
    ],
    limits: [
      ["--memory-limit", "67108864"],
      ["--cpu-quota", "5000", "--cpu-period", "10000"],
      ["--rdt-class", "gold"],
    ],
    security: [
      ["--apparmor-profile", "mine"],
      ["--seccomp-profile", "/etc/none"],
      ["--seccomp", "--seccomp-profile", "FOLDER/seccomp.json"],
    ],
  };
  for (const [name, cases] of Object.entries(created))
    test(name, async () => {
      writeFileSync(folder.join("seccomp.json"), JSON.stringify({ defaultAction: "SCMP_ACT_ALLOW", syscalls: [] }));
      for (const flags of cases) await same("create", ...flags.map((flag) => flag.replace("FOLDER", folder.path)));
    });

  test("flags of run", async () => {
    await same("run", "--cpus", "0.5");
    await same("run", "--cpu-shares", "512");
    await same("run", "--cgroup", "/own/place");
    await same("run", "--cpus", "1", "--cpu-quota", "5000");
    await same("run", "--cgroup", "");
  });

  test("user namespaces", async () => {
    const mapping = ["--uidmap", "0:100000:65536", "--gidmap", "0:200000:65536"];
    await same("run", ...mapping);
    await same("run", "--uidmap", "0:1", "--gidmap", "0:200000:65536");
    await same("run", "--uidmap", "a:1:2", "--gidmap", "0:200000:65536");
    const script = "id -u; stat -c '%u:%g' /bin/busybox; cat /proc/self/uid_map";
    for (const command of [real, own]) {
      const { stdout, stderr } = await run(command, [
        "run",
        "--rm",
        ...mapping,
        image,
        `u${count++}`,
        "sh",
        "-c",
        script,
      ]);
      expect([stdout.replace(/ +/g, " "), stderr]).toEqual(["0\n0:0\n 0 100000 65536\n", ""]);
    }
  });
});
