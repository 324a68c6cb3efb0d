/** Processes are killed at any moment; what is left is whole or gone, and can all be taken away. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { cgroupAt, removeCgroup } from "@hull/sys/cgroup";
import { writeBusyboxImage } from "../../scripts/image.ts";
import type { Daemon } from "../support/containerd.ts";
import { noContainerd } from "../support/containerd.ts";
import { startHull } from "../support/hull.ts";
import { isAlive, type Outcome, runProgram } from "../support/process.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { containerProcesses, ctrIn, processesBelow, type StoreState, storeState } from "../support/store-state.ts";
import { eventually, removeAll, writeLargeImage } from "./store.ts";

setDefaultTimeout(60_000);

const suite = noContainerd === undefined ? describe : describe.skip;
const busybox = "docker.io/library/busybox:latest";

suite(`killed processes${noContainerd === undefined ? "" : ` (skipped: ${noContainerd})`}`, () => {
  let images: Scratch;
  let folder: Scratch;
  let namespace: string;
  let daemon: Daemon;
  let empty: StoreState;

  beforeAll(() => {
    images = scratch();
    writeBusyboxImage(images.join("busybox.tar"), busybox);
    writeLargeImage("example.com/large:1", 24 << 20, {
      layout: images.join("large"),
      archive: images.join("large.tar"),
    });
  });
  afterAll(() => images[Symbol.dispose]());

  beforeEach(async () => {
    folder = scratch();
    namespace = basename(folder.path);
    daemon = await startHull(folder.path);
    empty = await storeState(daemon, namespace);
  });
  afterEach(async () => {
    await removeAll(daemon, namespace);
    expect(await storeState(daemon, namespace)).toEqual(empty);
    expect(daemon.log()).not.toMatch(/uncaught exception|unhandled rejection/);
    await daemon[Symbol.asyncDispose]();
    // Shims that wait for work go with their daemon, whichever way that went.
    await eventually(() => expect(processesBelow(folder.path)).toEqual([]));
    removeCgroup(cgroupAt(`/${namespace}`));
    folder[Symbol.dispose]();
  });

  const ctr = (...args: string[]): Promise<Outcome> => ctrIn(daemon, namespace, ...args);

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
