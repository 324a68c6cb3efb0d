/**
 * The daemon is killed at random moments of pulls, imports, runs, execs, exits and deletes: what it had answered for is there
 * afterwards, all that is there is whole, every exit status is the true one, and in the end all can be taken away.
 *
 *   HULL_ROUNDS=50 HULL_SEED=2 bun test test/faults/kills.test.ts     `npm run faults`: 50 rounds
 */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { basename } from "node:path";
import { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
import { connect } from "@hull/client/client";
import { Status } from "@hull/client/tasks";
import { pullImage } from "@hull/client/transfer";
import { cgroupAt, removeCgroup } from "@hull/sys/cgroup";
import { writeBusyboxImage } from "../../scripts/image.ts";
import { Random } from "../fuzz/mutate.ts";
import { type Daemon, noContainerd } from "../support/containerd.ts";
import { startHull } from "../support/hull.ts";
import { type Outcome, runProgram } from "../support/process.ts";
import { LocalRegistry, noRegistry } from "../support/registry.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { containerProcesses, ctrIn, processesBelow, type StoreState, storeState } from "../support/store-state.ts";
import { eventually, expectSound, listed, removeAll, writeLargeImage } from "./store.ts";

setDefaultTimeout(60_000);

const skipped = noContainerd ?? noRegistry;
const rounds = Number(process.env.HULL_ROUNDS ?? 8);
const seed = Number(process.env.HULL_SEED ?? 20_260_101);
const busybox = "docker.io/library/busybox:latest";
const imported = "example.com/imported:1";

/** A process that ends by itself, with a status that only it has. */
interface Ending {
  readonly id: string;
  readonly status: number;
  /** Whether the client was told that it runs. */
  promised: boolean;
}

describe.skipIf(skipped !== undefined)(
  `kills of the daemon${skipped === undefined ? "" : ` (skipped: ${skipped})`}`,
  () => {
    let folder: Scratch;
    let namespace: string;
    let registry: LocalRegistry;
    let daemon: Daemon;
    let empty: StoreState;
    /** By a client that reads and writes blobs itself, and by the daemon's own transfer. */
    let remote: { byClient: string; byDaemon: string };

    beforeEach(async () => {
      folder = scratch();
      namespace = basename(folder.path);
      registry = await LocalRegistry.start(folder.join("registry"));
      remote = { byClient: `${registry.host}/kills/client:1`, byDaemon: `${registry.host}/kills/daemon:1` };
      writeBusyboxImage(folder.join("busybox.tar"), busybox);
      writeLargeImage(imported, 16 << 20, { layout: folder.join("imported"), archive: folder.join("imported.tar") });
      for (const name of ["client", "daemon"]) {
        const layout = folder.join(name);
        writeLargeImage(name, 16 << 20, { layout, archive: folder.join(`${name}.tar`) });
        await registry.push(layout, `kills/${name}:1`);
      }
      daemon = await startHull(folder.join("h"));
      empty = await storeState(daemon, namespace);
    });
    afterEach(async () => {
      await removeAll(daemon, namespace);
      expect(await storeState(daemon, namespace)).toEqual(empty);
      expect(daemon.log()).not.toMatch(/uncaught exception|unhandled rejection/);
      await daemon[Symbol.asyncDispose]();
      // Shims that wait for work go with their daemon, whichever way that went.
      await eventually(() => expect(processesBelow(folder.join("h"))).toEqual([]));
      await registry[Symbol.asyncDispose]();
      removeCgroup(cgroupAt(`/${namespace}`));
      folder[Symbol.dispose]();
    });

    const ctr = (...args: string[]): Promise<Outcome> => ctrIn(daemon, namespace, ...args);
    /** A client that may be left waiting by the daemon's end. Gives whether it was told that all is done. */
    const done = async (...args: string[]): Promise<boolean> => {
      const command = ["ctr", "--address", daemon.address, "--namespace", namespace, ...args];
      return (await runProgram(command, { timeoutMs: 3000 })).status === 0;
    };

    test(`${rounds} times (seed ${seed})`, async () => {
      const random = new Random(seed);
      const runs: Ending[] = [];
      const images = new Set([busybox]);
      const seen = { runs: 0, exits: 0, execs: 0, deletes: 0, pulls: 0, imports: 0 };
      expect(await done("images", "import", folder.join("busybox.tar"))).toBe(true);
      expect(await done("run", "--detach", "--null-io", busybox, "anchor", "sleep", "100000")).toBe(true);
      const [anchor] = containerProcesses(namespace, "anchor");

      for (let round = 0; round < rounds; round++) {
        const execs: Ending[] = [];
        const ended = runs.splice(0, random.below(4));
        const doubtful = new Set<string>();

        const programEnds = (status: number): string[] => ["sh", "-c", `sleep 0.${random.below(9)}; exit ${status}`];
        const running = async (): Promise<void> => {
          for (let number = 0; number < 4; number++) {
            const run = { id: `run${round}-${number}`, status: 1 + random.below(120), promised: false };
            runs.push(run);
            run.promised = await done("run", "--detach", "--null-io", busybox, run.id, ...programEnds(run.status));
            if (!run.promised) return;
          }
        };
        const executing = async (): Promise<void> => {
          for (let number = 0; number < 4; number++) {
            const exec = { id: `exec${round}-${number}`, status: 1 + random.below(120), promised: false };
            execs.push(exec);
            const args = ["tasks", "exec", "--detach", "--exec-id", exec.id, "anchor", ...programEnds(exec.status)];
            exec.promised = await done(...args);
            if (!exec.promised) return;
          }
        };
        const deleting = async (): Promise<void> => {
          for (const { id } of ended) {
            await done("tasks", "rm", "--force", id);
            if (!(await done("containers", "rm", id))) return;
            seen.deletes++;
          }
        };
        const replacing = async (name: string, fetch: () => Promise<boolean>): Promise<boolean> => {
          doubtful.add(name);
          if (images.has(name) && !(await done("images", "rm", "--sync", name))) return false;
          if (!(await fetch())) return false;
          images.add(name);
          doubtful.delete(name);
          return true;
        };
        const fetching = async (): Promise<void> => {
          const { address } = daemon;
          const { byClient, byDaemon } = remote;
          const client = () => done("images", "pull", "--plain-http", byClient);
          const own = async (): Promise<boolean> => {
            try {
              await using connection = await connect({ address, namespace });
              await pullImage(connection, byDaemon, { unpack: "overlayfs", plainHttp: true });
              return true;
            } catch {
              return false; // the daemon is gone
            }
          };
          const archive = () => done("images", "import", folder.join("imported.tar"));
          const [pulled, transferred, brought] = await Promise.all([
            random.below(2) === 0 ? replacing(byClient, client) : undefined,
            random.below(2) === 0 ? replacing(byDaemon, own) : undefined,
            random.below(2) === 0 ? replacing(imported, archive) : undefined,
          ]);
          seen.pulls += Number(pulled === true) + Number(transferred === true);
          seen.imports += Number(brought === true);
        };

        const work = Promise.all([running(), executing(), deleting(), fetching()]);
        await Bun.sleep(random.below(2500));
        await daemon.stop("SIGKILL");
        await work;
        daemon = await startHull(folder.join("h"));
        await expectSound(daemon, namespace);

        const there = new Set(await listed(daemon, namespace, "images", "ls", "-q"));
        expect([...images].filter((name) => !there.has(name) && !doubtful.has(name))).toEqual([]);
        for (const name of doubtful) images.delete(name);
        for (const name of there) images.add(name);

        // What was executed in it when the daemon was killed runs to its end.
        expect(containerProcesses(namespace, "anchor")).toContain(anchor ?? 0);
        await eventually(() => expect(containerProcesses(namespace, "anchor")).toEqual([anchor ?? 0]));
        const containers = new Set(await listed(daemon, namespace, "containers", "ls", "-q"));
        expect(runs.filter(({ id, promised }) => promised && !containers.has(id))).toEqual([]);
        seen.runs += runs.filter(({ id, promised }) => promised && id.startsWith(`run${round}-`)).length;
        seen.exits += await expectStatuses(runs);
        seen.execs += await expectExecs(execs);

        const said = await ctr("tasks", "exec", "--exec-id", `after${round}`, "anchor", "echo", "alive");
        expect(said).toEqual({ status: 0, stdout: "alive\n", stderr: "" });
      }
      console.log(`${rounds} kills (seed ${seed}): ${JSON.stringify(seen)}`);
      // The moments were late enough for something to be begun and done; a few rounds on a busy machine may all be early.
      if (rounds >= 20) expect(Object.values(seen)).not.toContain(0);
    }, 1_800_000);

    /** Every task ends with its program's status, whether that was before the kill, while no daemon was there, or comes yet. */
    async function expectStatuses(runs: readonly Ending[]): Promise<number> {
      await using client = await connect({ address: daemon.address, namespace });
      const service = client.service(TasksDefinition);
      const tasks = new Map((await service.list({ filter: "" })).tasks.map((task) => [task.id, task]));
      let checked = 0;
      for (const { id, status, promised } of runs) {
        const task = tasks.get(id);
        if (promised) expect({ id, there: task !== undefined }).toEqual({ id, there: true });
        // A kill between the creation and the start leaves a task that nobody starts.
        if (task === undefined || task.status === Status.CREATED) continue;
        const { exitStatus } = await service.wait(
          { containerId: id, execId: "" },
          { signal: AbortSignal.timeout(5000) },
        );
        expect({ id, status: exitStatus }).toEqual({ id, status });
        const { process } = await service.get({ containerId: id, execId: "" });
        expect(process).toMatchObject({ id, status: Status.STOPPED, exitStatus: status });
        checked++;
      }
      return checked;
    }

    /** The same for what ran beside; each is taken away, so that the next round's find room. */
    async function expectExecs(execs: readonly Ending[]): Promise<number> {
      await using client = await connect({ address: daemon.address, namespace });
      const service = client.service(TasksDefinition);
      let checked = 0;
      for (const { id: execId, status, promised } of execs) {
        if (!promised) continue;
        const request = { containerId: "anchor", execId };
        const { exitStatus } = await service.wait(request, { signal: AbortSignal.timeout(5000) });
        expect({ execId, status: exitStatus }).toEqual({ execId, status });
        expect(await service.deleteProcess(request)).toMatchObject({ exitStatus: status });
        checked++;
      }
      return checked;
    }
  },
);
