/**
 * A container in the shim: its first process, its execs, its OCI runtime and its root file system.
 *
 * When the first process ends, its exit is announced after those of all execs; then, without being asked, the runtime's record is deleted
 * and the root file system unmounted, so that a later `delete` finds the work done. State and exit status stay until then.
 */

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CheckpointOptions } from "@hull/api/gen/containerd/runc/v1/options";
import type { Mount } from "@hull/api/gen/containerd/types/mount";
import { nowNanos } from "@hull/api/timestamp";
import { alreadyExists, failedPrecondition, invalidArgument, notFound, unknown } from "@hull/errors";
import { mountAll, unmountAll } from "@hull/sys/mount";
import type { RuntimeChoice } from "./bundle.ts";
import { bundlePaths, exchangeSpec, hasHooks, readSpec, recordRuntime, sharesPidNamespace } from "./bundle.ts";
import { cgroupPaths, readText } from "./cgroup.ts";
import { exchangeForRestore, writeCheckpoint } from "./checkpoint.ts";
import type { Children, ProcessExit } from "./children.ts";
import type { TaskEvents } from "./events.ts";
import { startByFifo } from "./exec-fifo.ts";
import { createWillFail, execWillFail } from "./foresee.ts";
import { makeMappedMounts } from "./mapped-mounts.ts";
import { OciRuntime } from "./oci-runtime.ts";
import { killsAbove, OomWatch } from "./oom.ts";
import { removeRuncRecord } from "./runtime-record.ts";
import { ignoreNotFound, signalProcess } from "./signals.ts";
import { type Start, spawnProcess } from "./spawn.ts";
import { keepsStatistics, type Statistics, statisticsOf } from "./statistics.ts";
import { ProcessStdio, type StreamOwner } from "./stdio.ts";
import { type StreamRequest, TaskProcess } from "./task-process.ts";
import { TerminalStreams } from "./terminal.ts";

/** What a container is made of. */
export interface ContainerRequest extends StreamRequest {
  id: string;
  bundle: string;
  rootfs: readonly Mount[];
  runtime: RuntimeChoice;
  namespace: string;
  /** Directory of a checkpoint that the container is restored from; empty to make it anew. */
  checkpoint: string;
  parentCheckpoint: string;
}

const SIGKILL = 9;
/** How long a deletion waits for a terminal's output to be read. */
const drainMs = 10_000;

/** One container. Made by `Container.create`. */
export class Container {
  readonly id: string;
  readonly bundle: string;
  readonly init: TaskProcess;
  readonly #execs = new Map<string, { process: TaskProcess; spec: Uint8Array }>();
  readonly #runtime: OciRuntime;
  readonly #events: TaskEvents;
  readonly #paths: ReturnType<typeof bundlePaths>;
  readonly #owner: Omit<StreamOwner, "id">;
  /** What the first process is started with instead of `start`, if it is restored. */
  #restore: (() => Promise<void>) | undefined;
  #oom: OomWatch | undefined;
  /** The OCI runtime's directory of this container. */
  readonly #record: string;
  #sharedPids = false;
  /** Starting and deleting it has no side to it that only the runtime's commands know of. */
  #plain = false;
  #cleanup: Promise<void> | undefined;
  #keepsStatistics = false;
  #lastStatistics: Statistics | undefined;
  /** Contents of /proc/<pid>/cgroup of the first process. */
  #cgroup = "";

  private constructor(request: ContainerRequest, children: Children, events: TaskEvents) {
    this.id = request.id;
    this.bundle = request.bundle;
    this.init = new TaskProcess("", request);
    this.#events = events;
    this.#paths = bundlePaths(request.bundle);
    const { binary, root, options } = request.runtime;
    this.#record = join(root, request.id);
    this.#owner = { namespace: request.namespace, children, uid: options.ioUid, gid: options.ioGid };
    this.#runtime = new OciRuntime(
      { binary, root, log: this.#paths.log, systemdCgroup: options.systemdCgroup },
      children,
    );
  }

  /** Mounts, opens the streams, and has the runtime make the container. What was done is undone when a step fails. */
  static async create(request: ContainerRequest, children: Children, events: TaskEvents): Promise<Container> {
    const container = new Container(request, children, events);
    await container.#create(request);
    events.created(request, container.init.pid);
    return container;
  }

  async #create(request: ContainerRequest): Promise<void> {
    const { bundle, rootfs, runtime } = request;
    await using undo = new AsyncDisposableStack();
    const paths = this.#paths;
    if (rootfs.length > 0) {
      mkdirSync(paths.rootfs, { recursive: true, mode: 0o711 });
      mountAll(rootfs, paths.rootfs);
      undo.defer(() => unmountAll(paths.rootfs));
    }
    const { noPivotRoot, noNewKeyring } = runtime.options;
    const spec = readSpec(bundle);
    this.#keepsStatistics = keepsStatistics(spec);
    if (request.checkpoint !== "") {
      recordRuntime(bundle, runtime);
      this.#sharedPids = sharesPidNamespace(spec);
      this.#restore = () => this.#startRestored(request);
      undo.move();
      return;
    }
    using mapped = makeMappedMounts(spec);
    using _exchanged = mapped === undefined ? undefined : exchangeSpec(bundle, { mounts: mapped.mounts });
    const spawned = this.#spawn(this.init, paths.initPid, async (streams) => {
      const options = { bundle, pidFile: paths.initPid, noPivotRoot, noNewKeyring, ...streams };
      if (streams.consoleSocket === undefined && createWillFail(bundle, spec)) {
        await this.#runtime.create(this.id, { ...options, stdio: ProcessStdio.none() });
        // A mount may have brought the program after all: nothing has run yet, so make it again with its streams.
        await this.#runtime.delete(this.id, { force: true });
      }
      await this.#runtime.create(this.id, options);
    });
    // The runtime is on its way: what is only needed later is done beside it.
    recordRuntime(bundle, runtime);
    this.#sharedPids = sharesPidNamespace(spec);
    // With a notification socket `start` waits for systemd's message.
    this.#plain = !hasHooks(spec) && !runtime.options.systemdCgroup && process.env.NOTIFY_SOCKET === undefined;
    await spawned;
    this.#cgroup = readText(`/proc/${this.init.pid}/cgroup`);
    undo.move();
  }

  async #spawn(process: TaskProcess, pidFile: string, start: Start): Promise<void> {
    const owner = { ...this.#owner, id: process.execId === "" ? this.id : process.execId };
    await spawnProcess({ process, owner, pidFile }, start, (exit) => void this.#ended(process, exit));
  }

  /** Starts the first process (empty id) or an exec. @returns its pid */
  async start(execId: string): Promise<number> {
    const process = this.process(execId);
    if (process.status !== "created" || process.starting !== undefined) {
      throw failedPrecondition(`cannot start a ${process.status} process`);
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    process.starting = promise;
    try {
      if (execId === "") {
        // One that is restored has a group from its start on only.
        const killed = this.#cgroup === "" ? undefined : killsAbove(cgroupPaths(this.#cgroup));
        await this.#startInit();
        process.status = "running";
        this.#events.started(this.id, process.pid);
        if (this.#cgroup !== "") {
          this.#oom = new OomWatch(cgroupPaths(this.#cgroup), killed, () => this.#events.outOfMemory(this.id));
        }
      } else {
        await this.#startExec(process);
        this.#events.execStarted(this.id, execId, process.pid);
      }
      return process.pid;
    } finally {
      process.starting = undefined;
      resolve();
    }
  }

  async #startRestored({ bundle, checkpoint, parentCheckpoint, runtime }: ContainerRequest): Promise<void> {
    const { noPivotRoot, criuWorkPath } = runtime.options;
    const workPath = criuWorkPath === "" ? this.#paths.work : criuWorkPath;
    mkdirSync(workPath, { recursive: true, mode: 0o711 });
    using _exchanged = exchangeForRestore(this, runtime);
    const pidFile = this.#paths.initPid;
    const options = { bundle, pidFile, noPivotRoot, imagePath: checkpoint, parentPath: parentCheckpoint, workPath };
    await this.#spawn(this.init, pidFile, (streams) => this.#runtime.restore(this.id, { ...options, ...streams }));
    this.#cgroup = readText(`/proc/${this.init.pid}/cgroup`);
  }

  async #startInit(): Promise<void> {
    if (this.#restore !== undefined) return this.#restore();
    if (this.#plain && (await startByFifo(this.#record, this.init.gone))) return;
    await this.#runtime.start(this.id);
  }

  async #startExec(process: TaskProcess): Promise<void> {
    const { execId } = process;
    if (this.init.status === "stopped") throw failedPrecondition(`cannot exec in a stopped container "${this.id}"`);
    const spec = this.#paths.execSpec(execId);
    const pidFile = this.#paths.execPid(execId);
    const document = this.#execs.get(execId)?.spec ?? new Uint8Array();
    writeFileSync(spec, document);
    try {
      await this.#spawn(process, pidFile, ({ consoleSocket, stdio }) => {
        const doomed = consoleSocket === undefined && execWillFail(`/proc/${this.init.pid}/root`, document);
        return this.#runtime.exec(this.id, {
          spec,
          pidFile,
          consoleSocket,
          stdio: doomed ? ProcessStdio.none() : stdio,
        });
      });
      process.status = "running";
    } catch (error) {
      process.stop({ status: 255, at: nowNanos() });
      throw error;
    } finally {
      rmSync(spec, { force: true });
      rmSync(pidFile, { force: true });
    }
  }

  /** Adds a process to be started. @throws AlreadyExists; FailedPrecondition if the container has stopped */
  exec(execId: string, request: StreamRequest, spec: Uint8Array): void {
    // The id becomes a file's name in the bundle.
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(execId)) throw invalidArgument(`exec id "${execId}" is not an identifier`);
    if (this.#execs.has(execId)) throw alreadyExists(`id ${execId}`);
    // The kind is the one that clients know from containerd's shim.
    if (this.init.status === "stopped" || this.init.status === "paused" || this.#awaitsRestore) {
      throw unknown(`cannot exec in a ${this.init.status} state`);
    }
    this.#execs.set(execId, { process: new TaskProcess(execId, request), spec });
    this.#events.execAdded(this.id, execId);
  }

  /** Created from a checkpoint, of which nothing runs yet. */
  get #awaitsRestore(): boolean {
    return this.#restore !== undefined && this.init.status === "created";
  }

  /** @throws NotFound */
  process(execId: string): TaskProcess {
    if (execId === "") return this.init;
    const exec = this.#execs.get(execId);
    if (exec === undefined) throw notFound(`process does not exist ${execId}`);
    return exec.process;
  }

  async #ended(process: TaskProcess, exit: ProcessExit): Promise<void> {
    await process.starting;
    if (process === this.init) await this.#endExecs();
    process.streams?.finish();
    // Whoever waits for the end asks next for the reason.
    if (process === this.init && this.#oom?.end(exit.status === 128 + SIGKILL) === true) await this.#events.delivered();
    process.stop(exit);
    this.#events.exited(this.id, process.execId, process.pid, exit);
    // A turn later: whoever waits for the end is answered first.
    if (process === this.init) setImmediate(() => this.#startCleanup());
  }

  /** In a pid namespace of its own every exec dies with the first process; else they are killed. */
  async #endExecs(): Promise<void> {
    if (this.#sharedPids) await this.#runtime.kill(this.id, SIGKILL, true).catch(() => {});
    const running = [...this.#execs.values()].filter(({ process }) => process.status === "running");
    await Promise.all(running.map(({ process }) => process.ended));
  }

  /** @throws NotFound "process already finished" */
  async kill(execId: string, signal: number, all: boolean): Promise<void> {
    const of = { id: this.id, init: this.init, runtime: this.#runtime, cgroup: this.#cgroup };
    await signalProcess(of, this.process(execId), signal, all);
  }

  async pause(): Promise<void> {
    if (this.init.status !== "running") throw unknown(`cannot pause a ${this.init.status} container`);
    await this.#runtime.pause(this.id);
    if (this.init.status === "running") this.init.status = "paused";
    this.#events.paused(this.id);
  }

  async resume(): Promise<void> {
    if (this.init.status !== "paused") throw unknown(`cannot resume a ${this.init.status} process`);
    await this.#runtime.resume(this.id);
    if (this.init.status === "paused") this.init.status = "running";
    this.#events.resumed(this.id);
  }

  async update(resources: Uint8Array): Promise<void> {
    if (this.init.status === "stopped") throw failedPrecondition("cannot update a stopped container");
    await this.#runtime.update(this.id, resources);
  }

  /** Has the processes written to a directory by CRIU. @throws Unknown with the runtime's reason; CRIU's log is in the bundle then */
  async checkpoint(path: string, options: CheckpointOptions): Promise<void> {
    const { status } = this.init;
    if (status === "created") throw unknown("cannot checkpoint a task in created state");
    if (status === "stopped") throw unknown("cannot checkpoint a stopped container");
    await writeCheckpoint({ id: this.id, runtime: this.#runtime, paths: this.#paths }, path, options);
  }

  /** @throws InvalidArgument for a process without a terminal */
  resize(execId: string, width: number, height: number): void {
    const { streams } = this.process(execId);
    if (!(streams instanceof TerminalStreams)) {
      // A client may resize before the start; the size follows with the next change.
      if (this.process(execId).request.terminal) return;
      throw invalidArgument(`process "${execId}" of container "${this.id}" has no terminal`);
    }
    streams.resize(width, height);
  }

  closeStdin(execId: string): void {
    this.process(execId).streams?.closeStdin();
  }

  /** Where the kernel accounts the container: the text of its /proc/<pid>/cgroup. @throws NotFound if it has stopped */
  get cgroup(): string {
    if (this.init.status === "stopped") throw notFound(`cgroup of container "${this.id}" is gone: it has stopped`);
    return this.#cgroup;
  }

  /** What it has used. @throws NotFound if it has stopped, and its spec doesn't say that they are to be kept */
  async statistics(): Promise<Statistics> {
    if (this.init.status === "stopped" && this.#keepsStatistics) {
      await this.#startCleanup().catch(() => {});
      if (this.#lastStatistics !== undefined) return this.#lastStatistics;
    }
    return await statisticsOf(this.cgroup);
  }

  /** Exec ids by pid. */
  get execPids(): ReadonlyMap<number, string> {
    return new Map([...this.#execs.values()].map(({ process }) => [process.pid, process.execId]));
  }

  /** @throws FailedPrecondition while it runs */
  async delete(execId: string): Promise<{ pid: number; exit?: ProcessExit }> {
    const process = this.process(execId);
    if (process.starting !== undefined || process.status === "running" || process.status === "paused") {
      throw failedPrecondition(`cannot delete a ${process.status} process`);
    }
    if (execId === "" && process.status === "created" && !this.#awaitsRestore) {
      await this.kill("", SIGKILL, false).catch(ignoreNotFound);
      await process.ended;
    }
    if (process.streams !== undefined) {
      await within(drainMs, process.streams.drained());
      process.streams.close();
      process.streams = undefined;
    }
    const { exit } = process;
    if (execId !== "") {
      this.#execs.delete(execId);
      return { pid: process.pid, exit };
    }
    for (const exec of this.#execs.values()) exec.process.streams?.close();
    this.#execs.clear();
    await this.#startCleanup().catch(() => this.#tryAgain());
    this.#events.deleted(this.id, process.pid, exit);
    return { pid: process.pid, exit };
  }

  #startCleanup(): Promise<void> {
    this.#cleanup ??= this.#clean(false);
    // The failure is met by whoever deletes.
    this.#cleanup.catch(() => {});
    return this.#cleanup;
  }

  #tryAgain(): Promise<void> {
    this.#cleanup = this.#clean(true);
    return this.#cleanup;
  }

  async #clean(force: boolean): Promise<void> {
    if (this.#keepsStatistics) this.#lastStatistics ??= await statisticsOf(this.#cgroup);
    const removed = !force && this.#plain && !this.#sharedPids && removeRuncRecord(this.#record);
    if (!removed) await this.#runtime.delete(this.id, { force });
    if (force) {
      const { removeLeftGroups } = await import("./left-groups.ts");
      await removeLeftGroups(cgroupPaths(this.#cgroup));
    }
    unmountAll(this.#paths.rootfs);
  }
}

async function within(ms: number, work: Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([work, promise]);
  clearTimeout(timer);
}
