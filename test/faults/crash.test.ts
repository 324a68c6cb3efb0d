/** Processes are killed at any moment; what is left is whole or gone, and can all be taken away. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { cgroupAt, removeCgroup } from "@hull/sys/cgroup";
import { packLayout, tarOfFolder, writeBusyboxImage, writeLayout } from "../../scripts/image.ts";
import type { Daemon } from "../support/containerd.ts";
import { noContainerd } from "../support/containerd.ts";
import { startHull } from "../support/hull.ts";
import { type Outcome, runProgram } from "../support/process.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { containerProcesses, ctrIn, processesBelow, type StoreState, storeState } from "../support/store-state.ts";

setDefaultTimeout(60_000);

const suite = noContainerd === undefined ? describe : describe.skip;
const busybox = "docker.io/library/busybox:latest";
const rounds = 10;
const seed = 20_260_101;

suite(`killed processes${noContainerd === undefined ? "" : ` (skipped: ${noContainerd})`}`, () => {
  let images: Scratch;
  let folder: Scratch;
  let namespace: string;
  let daemon: Daemon;
  let empty: StoreState;

  beforeAll(() => {
    images = scratch();
    writeBusyboxImage(images.join("busybox.tar"), busybox);
    writeLargeImage("large", 24 << 20);
  });
  afterAll(() => images[Symbol.dispose]());

  beforeEach(async () => {
    folder = scratch();
    namespace = basename(folder.path);
    daemon = await startHull(folder.path);
    empty = await storeState(daemon, namespace);
  });
  afterEach(async () => {
    await removeAll();
    expect(await storeState(daemon, namespace)).toEqual(empty);
    expect(daemon.log()).not.toMatch(/uncaught exception|unhandled rejection/);
    await daemon[Symbol.asyncDispose]();
    // Shims that wait for work go with their daemon, whichever way that went.
    await eventually(() => expect(processesBelow(folder.path)).toEqual([]));
    removeCgroup(cgroupAt(`/${namespace}`));
    folder[Symbol.dispose]();
  });

  const ctr = (...args: string[]): Promise<Outcome> => ctrIn(daemon, namespace, ...args);
  /** A client that may be left waiting by the daemon's end. */
  const shortly = (...args: string[]): Promise<Outcome> =>
    runProgram(["ctr", "--address", daemon.address, "--namespace", namespace, ...args], { timeoutMs: 3000 });

  function writeLargeImage(name: string, size: number): void {
    const [files, layout] = [images.join(`${name}-files`), images.join(`${name}-layout`)];
    mkdirSync(files);
    for (let part = 0; part < 8; part++) writeFileSync(join(files, `part${part}`), randomBytes(size / 8));
    writeLayout(layout, [
      { name: `example.com/${name}:1`, layers: [{ tar: tarOfFolder(files), compression: "gzip" }] },
    ]);
    packLayout(layout, images.join(`${name}.tar`));
  }

  async function names(...args: string[]): Promise<string[]> {
    return (await ctr(...args)).stdout.split("\n").filter(Boolean);
  }

  async function removeAll(): Promise<void> {
    for (const id of await names("tasks", "ls", "-q")) {
      await ctr("tasks", "kill", "--signal", "SIGKILL", id);
      await ctr("tasks", "rm", "--force", id);
    }
    for (const id of await names("containers", "ls", "-q")) await ctr("containers", "rm", id);
    for (const key of await names("snapshots", "ls")) {
      const [name = ""] = key.split(/\s/);
      if (!name.startsWith("sha256:") && name !== "KEY") await ctr("snapshots", "rm", name);
    }
    for (const name of await names("images", "ls", "-q")) await ctr("images", "rm", "--sync", name);
    for (const id of await names("leases", "ls", "-q")) await ctr("leases", "rm", "--sync", id);
    for (const line of await names("content", "active")) {
      const [ref = ""] = line.split(/\s/);
      if (ref !== "REF") await ctr("content", "abort", ref);
    }
  }

  /** Every blob has the bytes of its name, every record its files and every directory its record. */
  async function expectSound(): Promise<void> {
    const state = await storeState(daemon, namespace);
    const blobs = state.onDisk.filter((path) => path.includes("/blobs/"));
    expect(blobs.map((path) => `sha256:${basename(path)}`)).toEqual(state.content);
    for (const path of blobs)
      expect(new Bun.CryptoHasher("sha256").update(readFileSync(path)).digest("hex")).toBe(basename(path));
    // An ingest whose writer was killed before its first byte has a directory, but nothing to go on with.
    const ingests = state.onDisk.filter((path) => path.includes("/ingest/") && existsSync(join(path, "data")));
    const snapshots = state.onDisk.filter((path) => path.includes("/snapshots/"));
    expect({ ingests: ingests.length, snapshots: snapshots.length }).toEqual({
      ingests: state.ingests.length,
      snapshots: state.snapshots.length,
    });
    expect(state.temporary).toEqual([]);
    const tasks = (await names("tasks", "ls")).slice(1).map((line) => line.split(/\s+/));
    for (const [id = "", pid = "", status] of tasks) {
      expect(state.containers).toContain(id);
      const running = containerProcesses(namespace, id);
      if (status === "RUNNING") expect(running).toContain(Number(pid));
      if (status === "STOPPED") expect(running).toEqual([]);
    }
    const known = new Set(tasks.map(([id]) => id));
    for (const path of state.bundles) expect(known).toContain(basename(path));
    for (const path of state.cgroups) expect(known).toContain(basename(path));
  }

  test(`the daemon, ${rounds} times at random moments (seed ${seed})`, async () => {
    const random = generator(seed);
    expect((await ctr("images", "import", images.join("busybox.tar"))).status).toBe(0);
    expect((await ctr("run", "--detach", busybox, "anchor", "sleep", "1000")).status).toBe(0);
    const [anchor] = containerProcesses(namespace, "anchor");
    let others = 0;
    for (let round = 0; round < rounds; round++) {
      const previous = (await names("tasks", "ls", "-q")).find((id) => id !== "anchor");
      const work = Promise.allSettled([
        ...(round % 2 === 0 ? [shortly("images", "import", images.join("large.tar"))] : []),
        shortly("run", "--detach", busybox, `run${round}`, "sleep", "1000"),
        shortly("run", "--rm", busybox, `short${round}`, "true"),
        shortly("tasks", "exec", "--exec-id", `exec${round}`, "anchor", "true"),
        ...(previous === undefined ? [] : [shortly("tasks", "rm", "--force", previous)]),
      ]);
      await Bun.sleep(random() * 600);
      await daemon.stop("SIGKILL");
      await work;
      daemon = await startHull(folder.path);
      await expectSound();
      others += (await names("tasks", "ls", "-q")).length - 1;
      expect(containerProcesses(namespace, "anchor")).toEqual([anchor ?? 0]);
      const said = await ctr("tasks", "exec", "--exec-id", `after${round}`, "anchor", "echo", "alive");
      expect(said).toEqual({ status: 0, stdout: "alive\n", stderr: "" });
    }
    // The moments were late enough for something to have begun.
    expect(others).toBeGreaterThan(0);
  }, 120_000);

  describe("with a container", () => {
    beforeEach(async () => {
      expect((await ctr("images", "import", images.join("busybox.tar"))).status).toBe(0);
    });

    /** The process that listens on the socket that the bundle names. */
    function shimOf(id: string): number {
      const bundle = join(daemon.state, "io.containerd.runtime.v2.task", namespace, id, "bootstrap.json");
      const { address } = JSON.parse(readFileSync(bundle, "utf8")) as { address: string };
      return processWith(address.replace("unix://", "")) ?? 0;
    }

    test("its shim: the task is reported ended, its processes and its bundle are gone, its id can be used again", async () => {
      const waiting = runProgram(
        [
          "ctr",
          "--address",
          daemon.address,
          "--namespace",
          namespace,
          "run",
          busybox,
          "one",
          "sh",
          "-c",
          "sleep 1000 & sleep 1000",
        ],
        { timeoutMs: 20_000 },
      );
      while (!(await ctr("tasks", "ls")).stdout.includes("RUNNING")) await Bun.sleep(20);
      await eventually(() => expect(containerProcesses(namespace, "one").length).toBe(2));
      const before = containerProcesses(namespace, "one");
      process.kill(shimOf("one"), "SIGKILL");
      const { status, stderr } = await waiting;
      // ctr deletes the task after its end, and finds it deleted.
      expect([status, stderr]).toEqual([1, "ctr: task one not found: not found\n"]);
      await eventually(() => expect(before.filter(isAlive)).toEqual([]));
      const state = await storeState(daemon, namespace);
      expect(state).toMatchObject({ tasks: [], bundles: [], cgroups: [], mounts: [], containers: ["one"] });
      await ctr("containers", "rm", "one");
      expect(await ctr("run", "--rm", busybox, "one", "echo", "again")).toMatchObject({ stdout: "again\n", status: 0 });
    });

    test("its shim while the daemon is away: the next daemon ends the task", async () => {
      await ctr("run", "--detach", busybox, "one", "sleep", "1000");
      const [pid = 0] = containerProcesses(namespace, "one");
      const shim = shimOf("one");
      await daemon.stop("SIGKILL");
      process.kill(shim, "SIGKILL");
      daemon = await startHull(folder.path);
      expect((await storeState(daemon, namespace)).tasks).toEqual([]);
      expect(isAlive(pid)).toBe(false);
    });

    test("a shim that waits for work: the next container runs all the same", async () => {
      for (let round = 0; round < 3; round++) {
        const spares = await eventually(() => {
          const found = processesBelow(folder.path).filter(({ line }) => line.endsWith(" spare"));
          expect(found).not.toEqual([]);
          return found;
        });
        const runs = [0, 1].map((number) => ctr("run", "--rm", busybox, `r${round}-${number}`, "echo", "ran"));
        for (const { pid } of spares) process.kill(pid, "SIGKILL");
        // One that was killed under a container's creation is that container's failure; one that waited is nobody's.
        for (const { status, stdout, stderr } of await Promise.all(runs))
          expect([0, 1, 255]).toContain(status === 0 && stdout === "ran\n" ? 0 : stderr === "" ? -1 : status);
        expect(await ctr("run", "--rm", busybox, `after${round}`, "echo", "ran")).toMatchObject({ stdout: "ran\n" });
      }
    });

    test("what unpacks a layer: the import fails and says so, nothing is left, the next one succeeds", async () => {
      const before = await storeState(daemon, namespace);
      const importing = ctr("images", "import", images.join("large.tar"));
      const unpacker = await eventually(() => {
        const found = processesBelow(folder.path).find(({ line }) => /\bunpack\b/.test(line));
        expect(found).toBeDefined();
        return found;
      }, 1);
      process.kill(unpacker?.pid ?? 0, "SIGKILL");
      const { status, stderr } = await importing;
      expect(stderr).toContain("the unpacker ended with SIGKILL");
      expect(status).toBe(1);
      await ctr("images", "rm", "example.com/large:1");
      expect(await storeState(daemon, namespace)).toEqual(before);
      expect((await ctr("images", "import", images.join("large.tar"))).status).toBe(0);
    });
  });
});

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

function processWith(argument: string): number | undefined {
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0").includes(argument)) return Number(name);
    } catch {
      // Ended meanwhile.
    }
  }
  return undefined;
}

/** Tries until it doesn't throw, for five seconds; what happens in other processes has no event for a test. */
async function eventually<T>(attempt: () => T, pauseMs = 20): Promise<T> {
  const end = Date.now() + 5000;
  for (;;) {
    try {
      return attempt();
    } catch (error) {
      if (Date.now() > end) throw error;
      await Bun.sleep(pauseMs);
    }
  }
}

/** Numbers from 0 to 1 that are the same for each seed (mulberry32). */
function generator(state: number): () => number {
  let current = state;
  return () => {
    current = (current + 0x6d2b79f5) | 0;
    let mixed = Math.imul(current ^ (current >>> 15), 1 | current);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
