import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { capabilities, capabilityMask } from "./credentials.ts";
import { close } from "./fd.ts";
import { createNetworkNamespace, inNetworkNamespace, namespaceIdentity, unpinNamespace } from "./namespace.ts";
import {
  decodeWaitStatus,
  exitCodeOf,
  kill,
  oomScoreAdjust,
  openProcess,
  parseProcessStat,
  processStat,
  reap,
  resourceLimit,
  signalNumber,
  signalProcess,
} from "./process.ts";
import { isRoot, temporaryDirectory } from "./testing.ts";

const module = (name: string) => JSON.stringify(`${import.meta.dir}/${name}.ts`);

async function script(text: string): Promise<string> {
  const child = Bun.spawn([process.execPath, "-e", text], { stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return out + err;
}

test("wait statuses", () => {
  expect(decodeWaitStatus(0x0700)).toEqual({ kind: "exited", code: 7 });
  expect(decodeWaitStatus(0x89)).toEqual({ kind: "signaled", signal: 9, coreDumped: true });
  expect(exitCodeOf(decodeWaitStatus(9))).toBe(137);
});

test("signals by name and number", () => {
  expect(signalNumber("SIGKILL")).toBe(9);
  expect(signalNumber(34)).toBe(34);
  expect(() => signalNumber(65)).toThrow("not a signal");
  expect(() => kill(0x7ffffffe, 0)).toThrow("ESRCH");
});

test("only one named process is reaped", () => {
  expect(() => reap(-1)).toThrow("does not name one process");
  expect(() => reap(0)).toThrow("does not name one process");
  expect(() => reap(1)).toThrow("ECHILD");
});

test("a process's stat", () => {
  expect(processStat(process.pid)).toMatchObject({ pid: process.pid, parent: process.ppid });
  expect(processStat(process.pid).startTicks).toBeGreaterThan(0);
  expect(() => processStat(0x7ffffffe)).toThrow("does not exist");
  const rest = "S 2 3 4 0 -1 0 0 0 0 0 14 15 0 0 20 0 9 0 22 0";
  fc.assert(
    fc.property(fc.string({ maxLength: 15 }), (name) => {
      expect(parseProcessStat(`77 (${name}) ${rest}\n`)).toMatchObject({
        pid: 77,
        name,
        state: "S",
        parent: 2,
        group: 3,
        session: 4,
        userTicks: 14,
        systemTicks: 15,
        threads: 9,
        startTicks: 22,
      });
    }),
  );
  expect(() => parseProcessStat("nothing")).toThrow("not a process's stat");
});

test("a process by its descriptor", async () => {
  const child = Bun.spawn(["sleep", "30"]);
  const pidfd = openProcess(child.pid);
  signalProcess(pidfd, "SIGTERM");
  expect(await child.exited).toBe(143);
  expect(() => signalProcess(pidfd, "SIGTERM")).toThrow("ESRCH");
  close(pidfd);
});

test("limits are read and set", async () => {
  const child = Bun.spawn(["sleep", "30"]);
  const old = resourceLimit(child.pid, "RLIMIT_NOFILE");
  expect(resourceLimit(child.pid, "RLIMIT_NOFILE", { soft: 17n, hard: old.hard })).toEqual(old);
  expect(resourceLimit(child.pid, "RLIMIT_NOFILE").soft).toBe(17n);
  expect(oomScoreAdjust(child.pid)).toBe(oomScoreAdjust("self"));
  child.kill();
  await child.exited;
});

describe.skipIf(!isRoot)("rights (need root)", () => {
  test("a process gives up its rights, and its children have none", async () => {
    const out = await script(`
      import { setIdentity, setNoNewPrivileges, limitBoundingSet, capabilities } from ${module("credentials")};
      limitBoundingSet(1n << 5n); setNoNewPrivileges(); setIdentity({ user: 12345, group: 23456, groups: [7, 8] });
      console.log(String(capabilities().effective), process.getuid(), process.getgid(), process.getgroups().join());
      const child = Bun.spawnSync(["grep", "-E", "CapBnd|NoNewPrivs|^Uid", "/proc/self/status"]);
      console.log(child.stdout.toString());`);
    expect(out).toContain("0 12345 23456 7,8\n");
    expect(out).toContain("CapBnd:\t0000000000000020");
    expect(out).toContain("NoNewPrivs:\t1");
    expect(out).toContain("Uid:\t12345\t12345");
  });

  test("capabilities are taken away one by one", async () => {
    expect(capabilities().effective).not.toBe(0n);
    expect(capabilityMask([0, 5, 40])).toBe(0x10000000021n);
    const out = await script(`
      import { capabilities, setCapabilities } from ${module("credentials")};
      setCapabilities({ effective: 1n, permitted: 33n, inheritable: 0n });
      console.log(JSON.stringify(capabilities(), (_, value) => String(value) === value ? value : typeof value === "bigint" ? Number(value) : value));`);
    expect(out).toContain('{"effective":1,"permitted":33,"inheritable":0}');
  });

  test("a root of its own", async () => {
    using directory = temporaryDirectory();
    const out = await script(`
      import { changeRoot } from ${module("process")}; import { readdirSync } from "node:fs";
      changeRoot(${JSON.stringify(directory.path)}); console.log(process.cwd(), readdirSync("/").length);`);
    expect(out).toBe("/ 0\n");
  });

  test("a network namespace is made, entered and left", () => {
    using directory = temporaryDirectory();
    const home = namespaceIdentity("self", "net");
    createNetworkNamespace(directory.at("net"));
    expect(namespaceIdentity("self", "net")).toBe(home);
    const interfaces = inNetworkNamespace(directory.at("net"), () => {
      const child = Bun.spawnSync([
        "sh",
        "-c",
        "readlink /proc/self/ns/net; grep -c 'eth\\|en[ops]' /proc/self/net/dev",
      ]);
      return child.stdout.toString().split("\n");
    });
    expect(interfaces[0]).not.toBe(home);
    // Beside lo some kernels put tunnels (sit0 …) into every new one, but no card of the host's.
    expect(interfaces[1]).toBe("0");
    expect(namespaceIdentity("self", "net")).toBe(home);
    expect(() =>
      inNetworkNamespace(directory.at("net"), () => {
        throw new Error("inside");
      }),
    ).toThrow("inside");
    expect(namespaceIdentity("self", "net")).toBe(home);
    unpinNamespace(directory.at("net"));
    unpinNamespace(directory.at("net"));
  });
});
