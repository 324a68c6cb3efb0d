/** Tasks by shims: each request goes to the shim that keeps the task. */

import { alreadyExists, HullError, invalidArgument, isCode, notFound, unavailable } from "@hull/errors";
import { loadOwnProfileFor } from "../apparmor/index.ts";
import type { ContainerStore } from "../containers/index.ts";
import { type Context, contextFor } from "../context.ts";
import type { EventExchange } from "../events/index.ts";
import type { TypedBytes } from "../labels.ts";
import { type Logger, silent } from "../log.ts";
import { checkIdentifier } from "../metadata/index.ts";
import type { MountManager } from "../mount/manager/index.ts";
import { lendRootfs, returnRootfs } from "../mount/manager/lend.ts";
import { Bundle, type RuntimeDirectories } from "./bundle.ts";
import { expectCgroupMigration } from "./cgroup-migration.ts";
import type { CreateTask, ExecProcess, Exit, ProcessState, TaskManager } from "./index.ts";
import { KeyedLock } from "./keyed-lock.ts";
import { loadBundles } from "./load.ts";
import { withMountLabel } from "./mount-label.ts";
import { RuntimeOptions } from "./runtime-options.ts";
import type { Shim } from "./shim.ts";
import { ShimDirectory, type TaskSandbox } from "./shim-directory.ts";
import type { DaemonAddress } from "./shim-process.ts";
import type { Task } from "./task.ts";
import { exitOf, stateOf } from "./task-state.ts";
import { type TaskStreams, taskStreams } from "./task-streams.ts";

/** What a task manager needs. */
export interface TaskManagerOptions {
  directories: RuntimeDirectories;
  containers: Pick<ContainerStore, "get">;
  events: Pick<EventExchange, "publish">;
  daemon: DaemonAddress;
  /** Command line that leads to hull's own shim. */
  shimCommand: readonly string[];
  /** How many of our own shims are started ahead of need. Default: 1. */
  spareShims?: number;
  /** OCI runtime of containers that don't name one: a path or name. Default: see `defaultOciRuntime`. */
  ociRuntime?: string;
  log?: Logger;
  timeouts?: Partial<TaskTimeouts>;
  /**
   * How many milliseconds calls wait for a task that is being created: a hook of the OCI runtime may ask for what waits for it.
   * Default: 10,000.
   */
  creationWait?: number;
  /** For root file systems that the system alone can't mount. */
  mounts?: MountManager;
}

/** Bounds in milliseconds; in the configuration they are `io.containerd.timeout.shim.cleanup` and so on. */
export interface TaskTimeouts {
  cleanup: number;
  load: number;
  shutdown: number;
  state: number;
}

const defaultTimeouts: TaskTimeouts = { cleanup: 5000, load: 5000, shutdown: 3000, state: 2000 };

/** See `TaskManager`. */
export class ShimTaskManager implements TaskManager {
  readonly #options: TaskManagerOptions;
  readonly #timeouts: TaskTimeouts;
  readonly #shims: ShimDirectory;
  readonly #tasks = new Map<string, Task>();
  readonly #locks = new KeyedLock();
  /** Creations under way, by the keys of their tasks. */
  readonly #creating = new Map<string, Promise<unknown>>();
  /** What deleted tasks left behind, on its way out. */
  readonly #leaving = new Set<Promise<void>>();
  readonly #runtimeOptions: RuntimeOptions;

  constructor(options: TaskManagerOptions) {
    this.#options = options;
    this.#timeouts = { ...defaultTimeouts, ...options.timeouts };
    this.#runtimeOptions = new RuntimeOptions(options);
    const { directories, daemon, shimCommand, spareShims = 1, log = silent } = options;
    this.#shims = new ShimDirectory({ directories, daemon, shimCommand, spareShims, log, timeouts: this.#timeouts });
  }

  create(ctx: Context, request: CreateTask): Promise<{ pid: number }> {
    const key = keyOf(ctx, request.id);
    return this.#locks.run(key, async () => {
      const creation = this.#create(ctx, key, request);
      const over = creation.catch(() => undefined);
      this.#creating.set(key, over);
      try {
        return await creation;
      } finally {
        this.#creating.delete(key);
      }
    });
  }

  async #create(ctx: Context, key: string, request: CreateTask): Promise<{ pid: number }> {
    const container = await this.#options.containers.get(ctx, request.id);
    if (this.#tasks.has(key)) throw alreadyExists(`task ${request.id}`);
    const bundle = new Bundle(this.#options.directories, ctx.namespace, request.id);
    const runtime = request.runtimePath ?? container.runtime.name;
    const given = request.options ?? container.runtime.options;
    const options = this.#shims.isOwn(runtime)
      ? await this.#runtimeOptions.completeFor(container.spec.value, given)
      : given;
    // A bundle without a task is what a crash left.
    await bundle.delete();
    void expectCgroupMigration();
    await loadOwnProfileFor(container.spec.value);
    await using undo = new AsyncDisposableStack();
    bundle.create(container.spec.value);
    undo.defer(() => bundle.delete());
    const { mounts } = this.#options;
    const labelled = withMountLabel(request.rootfs, container.spec.value);
    const rootfs = await lendRootfs(mounts, ctx, request.id, labelled);
    // What the shim has not let go of is the collector's.
    undo.defer(() => returnRootfs(mounts, ctx, request.id).catch(() => undefined));
    const spec = container.spec.value;
    const { sandbox } = container;
    const { groupsPerShim } = request;
    const own =
      sandbox === "" || (request.sandboxApi === undefined && this.#shims.groups(runtime, bundle, spec, sandbox));
    const shim = own
      ? await this.#shims.start(runtime, bundle, { options, spec, groupsPerShim, signal: ctx.signal })
      : await this.#join(ctx, bundle, { id: sandbox, ...request.sandboxApi });
    undo.defer(() => this.#shims.release(shim, bundle));
    const { id, terminal, stdin, stdout, stderr, checkpoint = "" } = request;
    const creation = shim.client(ctx.namespace).create({
      id,
      bundle: bundle.path,
      rootfs: rootfs.map((mount) => ({ ...mount, options: [...mount.options] })),
      terminal,
      stdin,
      stdout,
      stderr,
      checkpoint,
      options,
    });
    const { pid } = await creation.catch((error: unknown) => {
      throw within("failed to create shim task", error);
    });
    undo.move();
    this.#register({ namespace: ctx.namespace, id, bundle, shim, client: shim.client(ctx.namespace), pid });
    return { pid };
  }

  #join(ctx: Context, bundle: Bundle, sandbox: TaskSandbox): Promise<Shim> {
    return this.#shims.join(bundle, sandbox, this.#tasks.get(keyOf(ctx, sandbox.id))?.shim);
  }

  /** The shims, for controllers of sandboxes. */
  get shims(): ShimDirectory {
    return this.#shims;
  }

  /** The options that a runtime's shim is given: for our own with what the configuration decides. */
  optionsFor(runtime: string, given: TypedBytes | undefined): TypedBytes | undefined {
    return this.#shims.isOwn(runtime) ? this.#runtimeOptions.complete(given) : given;
  }

  #register(task: Task): void {
    const key = keyOf(task, task.id);
    this.#tasks.set(key, task);
    void task.shim.lost.then(() => {
      // Not when it was deleted, or belongs to a task that came after it.
      if (this.#tasks.get(key) === task) task.lost = this.#locks.run(key, () => this.#lose(key, task));
    });
  }

  /** The shim has died: kill what it kept, and tell. */
  async #lose(key: string, task: Task): Promise<Exit | undefined> {
    if (this.#tasks.get(key) !== task) return undefined;
    this.#options.log?.log("warn", "a shim has ended before its task", { namespace: task.namespace, id: task.id });
    const exit = await this.#shims.cleanUpAndTell(task.bundle, this.#options.events);
    this.#tasks.delete(key);
    this.#shims.forget(task.shim, task.bundle);
    return exit;
  }

  async start(ctx: Context, id: string, execId = ""): Promise<{ pid: number }> {
    const { client } = await this.#find(ctx, id);
    const { pid } = await client.start({ id, execId });
    return { pid };
  }

  delete(ctx: Context, id: string): Promise<Exit> {
    const key = keyOf(ctx, id);
    return this.#locks.run(key, async () => {
      const task = await this.#find(ctx, id);
      const exit = exitOf(await task.client.delete({ id, execId: "" }));
      this.#tasks.delete(key);
      // Gone from sight. The answer needn't wait for the disk, nor for the shim; a new task of this id does, by the lock.
      const removed = task.bundle.delete();
      const putAway = this.#locks.run(key, async () => {
        const results = await Promise.allSettled([removed, this.#shims.release(task.shim, task.bundle)]);
        // Not by the caller's context, which is over: the name is all that counts.
        results.push(
          ...(await Promise.allSettled([returnRootfs(this.#options.mounts, contextFor(ctx.namespace), id)])),
        );
        for (const result of results) {
          if (result.status === "rejected") this.#complain("what a deleted task left behind", task, result.reason);
        }
      });
      this.#leaving.add(putAway);
      void putAway.finally(() => this.#leaving.delete(putAway));
      return exit;
    });
  }

  #complain(what: string, { namespace, id }: Task, error: unknown): void {
    this.#options.log?.log("warn", `${what} could not be put away`, { namespace, id, error: String(error) });
  }

  async deleteProcess(ctx: Context, id: string, execId: string): Promise<Exit> {
    if (execId === "") throw invalidArgument(`the exec id of a process of task "${id}" is empty`);
    const { client } = await this.#find(ctx, id);
    return exitOf(await client.delete({ id, execId }));
  }

  async get(ctx: Context, id: string, execId = ""): Promise<ProcessState> {
    return this.#stateOf(await this.#find(ctx, id), execId);
  }

  async list(ctx: Context): Promise<ProcessState[]> {
    const tasks = [...this.#tasks.values()].filter(({ namespace }) => namespace === ctx.namespace);
    const states = await Promise.allSettled(tasks.map((task) => this.#stateOf(task, "")));
    return states.flatMap((state) =>
      state.status === "fulfilled" && state.value.status !== "unknown" ? [state.value] : [],
    );
  }

  async #stateOf({ id, client }: Task, execId: string): Promise<ProcessState> {
    return stateOf(id, execId, await client.state({ id, execId }, { timeoutMs: this.#timeouts.state }));
  }

  async kill(ctx: Context, id: string, options: { execId?: string; signal: number; all?: boolean }): Promise<void> {
    const { client } = await this.#find(ctx, id);
    const { execId = "", signal, all = false } = options;
    await client.kill({ id, execId, signal, all });
  }

  async exec(ctx: Context, request: ExecProcess): Promise<void> {
    const { client } = await this.#find(ctx, request.id);
    try {
      checkIdentifier(request.execId);
    } catch (error) {
      throw within(`invalid exec id ${request.execId}`, error);
    }
    await client.exec(request);
  }

  async resizePty(ctx: Context, id: string, execId: string, width: number, height: number): Promise<void> {
    const { client } = await this.#find(ctx, id);
    await client.resizePty({ id, execId, width, height });
  }

  async closeIo(ctx: Context, id: string, execId: string, stdin: boolean): Promise<void> {
    const { client } = await this.#find(ctx, id);
    try {
      await client.closeIO({ id, execId, stdin });
    } catch (error) {
      // Some shims say in their own way that there is no such process.
      if (execId !== "") await client.state({ id, execId }, { timeoutMs: this.#timeouts.state });
      throw error;
    }
  }

  async pause(ctx: Context, id: string): Promise<void> {
    const { client } = await this.#find(ctx, id);
    await client.pause({ id });
  }

  async resume(ctx: Context, id: string): Promise<void> {
    const { client } = await this.#find(ctx, id);
    await client.resume({ id });
  }

  async pids(ctx: Context, id: string): Promise<{ pid: number; info?: TypedBytes }[]> {
    const { client } = await this.#find(ctx, id);
    return (await client.pids({ id })).processes;
  }

  async checkpoint(ctx: Context, id: string, path: string, options?: TypedBytes): Promise<void> {
    const { client } = await this.#find(ctx, id);
    await client.checkpoint({ id, path, options });
  }

  async update(
    ctx: Context,
    id: string,
    resources: TypedBytes,
    annotations: Readonly<Record<string, string>>,
  ): Promise<void> {
    const { client } = await this.#find(ctx, id);
    await client.update({ id, resources, annotations });
  }

  async stats(ctx: Context, id: string): Promise<TypedBytes> {
    const { client } = await this.#find(ctx, id);
    const { stats } = await client.stats({ id });
    if (stats === undefined) throw unavailable(`the shim of task "${id}" gave no statistics`);
    return stats;
  }

  async wait(ctx: Context, id: string, execId = ""): Promise<Exit> {
    const task = await this.#find(ctx, id);
    try {
      const response = await task.client.wait({ id, execId }, { signal: ctx.signal });
      return exitOf({ ...response, pid: task.pid });
    } catch (error) {
      if (!isCode(error, "unavailable")) throw error;
      // The shim has died, or the task was deleted while we waited.
      await task.shim.lost;
      const exit = await task.lost;
      if (exit === undefined) throw taskNotFound(id);
      return exit;
    }
  }

  async streams(ctx: Context, id: string): Promise<TaskStreams> {
    const { shim, bundle } = await this.#find(ctx, id);
    return taskStreams(shim, id, bundle.path);
  }

  async load(): Promise<void> {
    const { directories, events } = this.#options;
    await loadBundles(directories, async (bundle) => {
      const key = keyOf(bundle, bundle.id);
      await this.#locks.run(key, async () => {
        const found = await this.#shims.reconnect(bundle);
        if (found === undefined) await this.#shims.cleanUpAndTell(bundle, events);
        else this.#register({ ...found, namespace: bundle.namespace, id: bundle.id, bundle });
      });
    });
    this.#shims.prepare();
  }

  async close(): Promise<void> {
    const shims = new Set([...this.#tasks.values()].map(({ shim }) => shim));
    this.#tasks.clear();
    await Promise.all(this.#leaving);
    await this.#shims.close();
    await Promise.all([...shims].map(({ connected }) => connected.connection.close()));
  }

  /**
   * A task that is being created is waited for: a client whose input is over before the answer to its `create` asks for the task by
   * which to close it, once.
   * @throws NotFound: no such container, or it has no task
   */
  async #find(ctx: Context, id: string): Promise<Task> {
    const key = keyOf(ctx, id);
    const creation = this.#tasks.has(key) ? undefined : this.#creating.get(key);
    if (creation !== undefined) await atMost(this.#options.creationWait ?? 10_000, creation);
    const task = this.#tasks.get(key);
    if (task !== undefined) return task;
    await this.#options.containers.get(ctx, id);
    throw taskNotFound(id);
  }
}

/** The same error, its text led by what was being done. */
function within(what: string, error: unknown): HullError {
  const { code, message } = HullError.from(error);
  return new HullError(code, `${what}: ${message}`, { cause: error });
}

/** Waits for `work`, but for no longer than `milliseconds`. */
async function atMost(milliseconds: number, work: Promise<unknown>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, milliseconds);
  await Promise.race([work, promise]).finally(() => clearTimeout(timer));
}

function taskNotFound(id: string): HullError {
  return notFound(`task ${id} not found`);
}

function keyOf({ namespace }: { namespace: string }, id: string): string {
  return `${namespace}/${id}`;
}
