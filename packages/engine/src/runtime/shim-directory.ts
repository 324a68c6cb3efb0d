/**
 * The shims that this daemon knows: started, shared by the containers of a group, found again, given back, cleaned up after.
 */

import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { TaskDelete, TaskExit } from "@hull/api/gen/containerd/events/task";
import { nanosOfTimestamp, nowNanos, timestampOfNanos } from "@hull/api/timestamp";
import { isCode, notFound } from "@hull/errors";
import { close, openFifo } from "@hull/sys/fd";
import { unmountAll } from "@hull/sys/mount";
import { readStream } from "@hull/sys/stream";
import type { EventExchange } from "../events/index.ts";
import type { TypedBytes } from "../labels.ts";
import type { Logger } from "../log.ts";
import type { Bootstrap, Bundle, RuntimeDirectories } from "./bundle.ts";
import type { Exit } from "./index.ts";
import { runtimeInfo } from "./runtime-info.ts";
import { Shim } from "./shim.ts";
import { findShimBinary, isOwnRuntime } from "./shim-binary.ts";
import { connectShim, type ShimConnection, type TaskClient } from "./shim-connection.ts";
import { ShimGroups } from "./shim-groups.ts";
import { cleanUp, type DaemonAddress, startShim } from "./shim-process.ts";
import type { Tenants } from "./shim-tenants.ts";
import { SpareShims } from "./spare-shims.ts";
import type { TaskTimeouts } from "./task-manager.ts";

/** A sandbox that a task is to be in. */
export interface TaskSandbox {
  readonly id: string;
  /** Where its shim listens, if its controller is another's: `ttrpc+unix:///…`. */
  readonly address?: string;
  /** Version of the Task service there. */
  readonly version?: number;
}

/** What a shim is started by. */
export interface StartRequest {
  readonly options?: TypedBytes | undefined;
  readonly spec: Uint8Array;
  /** See `CreateTask`. */
  readonly groupsPerShim?: number | undefined;
  readonly signal: AbortSignal;
}

/** Options of the directory. */
export interface ShimDirectoryOptions {
  directories: RuntimeDirectories;
  daemon: DaemonAddress;
  shimCommand: readonly string[];
  spareShims: number;
  log: Logger;
  timeouts: TaskTimeouts;
}

/** Annotations that name the group whose containers share a shim; the first that is there counts. */
const groupAnnotations = ["io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id"];

/** The status of a process whose end nobody saw. */
const unknownStatus = 255;

/** See above. */
export class ShimDirectory {
  readonly #options: ShimDirectoryOptions;
  readonly #spares: SpareShims;
  readonly #groups = new ShimGroups();
  /** Shims that keep a sandbox, by namespace and id. */
  readonly #sandboxes = new Map<string, Shim>();
  /** Shims of an earlier run by their address: several tasks may live in one. */
  readonly #found = new Map<string, Promise<Shim>>();
  readonly #binaries = new Map<string, string>();
  readonly #closing = new AbortController();
  #prepared: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ShimDirectoryOptions) {
    this.#options = options;
    const { directories, shimCommand, spareShims } = options;
    this.#spares = new SpareShims({ command: shimCommand, count: spareShims, directories });
  }

  /** True if hull's own shim serves this runtime. */
  isOwn(runtime: string): boolean {
    return isOwnRuntime(runtime);
  }

  /**
   * A shim for a bundle, recorded in it: one that is started, or that of its group, or one that may have another group.
   *
   * @throws see `findShimBinary`, `startShim`, `connectShim`
   */
  async start(runtime: string, bundle: Bundle, request: StartRequest): Promise<Shim> {
    const { options, spec, groupsPerShim = 1, signal } = request;
    if (!this.isOwn(runtime)) return await this.#startOther(runtime, bundle, options, signal);
    const group = groupOf(bundle, spec);
    const company = group !== undefined && groupsPerShim > 1 ? companyOf(bundle, options) : undefined;
    const tenant = { bundle: bundle.path, group, company };
    const shim = await this.#groups.enter(tenant, groupsPerShim, (tenants) => this.#startOwn(bundle, tenants));
    try {
      bundle.record(shim.connected.bootstrap, undefined);
      if (company !== undefined) bundle.recordCompany(company);
      return shim;
    } catch (error) {
      await this.release(shim, bundle);
      throw error;
    }
  }

  async #startOwn({ namespace }: Bundle, tenants: Tenants): Promise<Shim> {
    const spare = await this.#spares.take(namespace, this.#options.daemon.ttrpc);
    return new Shim(spare, { spare, tenants });
  }

  /**
   * True if a task that is to be in a sandbox is in its group's shim: a pod of which nothing but its containers runs. Their specs say so.
   * @param spec of the task's container
   */
  groups(runtime: string, bundle: Bundle, spec: Uint8Array, sandbox: string): boolean {
    if (!this.isOwn(runtime) || this.#sandboxes.has(keyOf({ namespace: bundle.namespace, id: sandbox }))) return false;
    return groupOf(bundle, spec) === keyOf({ namespace: bundle.namespace, id: sandbox });
  }

  async #startOther(
    runtime: string,
    bundle: Bundle,
    options: TypedBytes | undefined,
    signal: AbortSignal,
  ): Promise<Shim> {
    const { daemon } = this.#options;
    const program = this.#program(runtime);
    // A shim opens its log before anything else, and waits there for a reader.
    this.#followLog(bundle.createLog(), bundle);
    const bootstrap = await startShim(program, bundle, { daemon, runtimeOptions: options, signal });
    bundle.record(bootstrap, program);
    const shim = new Shim(await connectShim(bootstrap), { program });
    shim.tenants.add({ bundle: bundle.path });
    return shim;
  }

  /** A shim that is to keep the sandbox of this bundle, for the tasks of its containers as well. @throws see `start` */
  async startForSandbox(runtime: string, bundle: Bundle, request: StartRequest): Promise<Shim> {
    const shim = await this.start(runtime, bundle, request);
    this.#sandboxes.set(keyOf(bundle), shim);
    return shim;
  }

  /**
   * The shim of the sandbox that a task is to be in. `task` is the shim of a task by the sandbox's id: pods that are containers themselves
   * are found so.
   * @throws NotFound
   */
  async join(bundle: Bundle, sandbox: TaskSandbox, task: Shim | undefined): Promise<Shim> {
    const known = this.#sandboxes.get(keyOf({ namespace: bundle.namespace, id: sandbox.id })) ?? task;
    if (known === undefined && (sandbox.address ?? "") === "") {
      throw notFound(`failed to start shim: can't find shim for sandbox ${sandbox.id}`);
    }
    const shim = known ?? new Shim(await connectShim(bootstrapOf(sandbox)), { foreign: true });
    shim.tenants.add({ bundle: bundle.path });
    bundle.record(shim.connected.bootstrap, shim.program);
    bundle.recordSandbox(sandbox.id);
    return shim;
  }

  /** The sandbox is gone, or is left alone: no task joins it any more. */
  forgetSandbox(bundle: Bundle): void {
    this.#sandboxes.delete(keyOf(bundle));
  }

  /** Finds the shim of a sandbox of an earlier run again. @returns undefined if it doesn't answer */
  async reconnectSandbox(bundle: Bundle): Promise<Shim | undefined> {
    const shim = await this.#reconnect(bundle);
    if (shim !== undefined) this.#sandboxes.set(keyOf(bundle), shim);
    return shim;
  }

  /** The shim that a bundle names, connected once for all that name it. */
  async #reconnect(bundle: Bundle): Promise<Shim | undefined> {
    const { bootstrap, program } = bundle.recorded();
    if (bootstrap === undefined) return undefined;
    const known = this.#found.get(bootstrap.address);
    const connecting = known ?? connectShim(bootstrap).then((connected) => this.#foundAgain(connected, program));
    this.#found.set(bootstrap.address, connecting);
    try {
      const shim = await connecting;
      const group = program === undefined ? groupOf(bundle, bundle.spec()) : undefined;
      this.#groups.found(shim, { bundle: bundle.path, group, company: bundle.company() });
      if (known === undefined && program !== undefined) this.#followLog(`${bundle.path}/log`, bundle);
      return shim;
    } catch {
      return undefined;
    }
  }

  #foundAgain(connected: ShimConnection, program: string | undefined): Shim {
    const shim = new Shim(connected, { program });
    void shim.lost.then(() => this.#found.delete(connected.bootstrap.address));
    return shim;
  }

  #program(runtime: string): string {
    const known = this.#binaries.get(runtime);
    if (known !== undefined) return known;
    const program = findShimBinary(runtime, { beside: dirname(this.#options.daemon.binary) });
    this.#binaries.set(runtime, program);
    return program;
  }

  /** What a runtime says of itself: a `RuntimeInfo`. @throws see `findShimBinary`, `runtimeInfo` */
  async info(runtime: string, options: TypedBytes | undefined): Promise<TypedBytes> {
    const command = this.isOwn(runtime) ? this.#options.shimCommand : [this.#program(runtime)];
    return await runtimeInfo(command, options);
  }

  #followLog(path: string, { namespace, id }: Bundle): void {
    const fd = openFifo(path, { nonBlocking: true });
    const stop = new AbortController();
    this.#logs.set(keyOf({ namespace, id }), stop);
    const follow = async (): Promise<void> => {
      const decoder = new TextDecoder();
      const signal = AbortSignal.any([stop.signal, this.#closing.signal]);
      for await (const chunk of readStream(fd, { signal, keepAlive: false })) {
        for (const line of decoder.decode(chunk).split("\n").filter(Boolean)) {
          this.#options.log.log("debug", line, { namespace, id });
        }
      }
    };
    follow()
      .catch(() => {}) // stopped
      .finally(() => close(fd));
  }

  /** Streams of logs that are being read, by task. */
  readonly #logs = new Map<string, AbortController>();

  /** Reads a task's log no longer. */
  #endLog(bundle: Bundle): void {
    this.#logs.get(keyOf(bundle))?.abort();
    this.#logs.delete(keyOf(bundle));
  }

  /** A container of the shim is gone; with the last one the shim goes too, or becomes a spare if it can be used again. */
  async release(shim: Shim, bundle: Bundle, { reuse = true } = {}): Promise<void> {
    this.#endLog(bundle);
    if (!this.#groups.leave(shim.tenants, bundle.path)) return;
    if (reuse && shim.spare !== undefined && this.#spares.giveBack(shim.spare, shim.tenants.served)) return;
    const { shutdown: timeoutMs } = this.#options.timeouts;
    const { connection } = shim.connected;
    if (shim.foreign) return await connection.close();
    // It may close the connection before it answers.
    await shim
      .client(bundle.namespace)
      .shutdown({ id: bundle.id, now: false }, { timeoutMs })
      .catch(() => {});
    // Its address may be the next one's too: until it has left, a new shim would be taken for running already.
    if (shim.spare === undefined) await within(timeoutMs, connection.closed);
    await connection.close();
  }

  /** The shim is used no longer. */
  forget(shim: Shim, bundle: Bundle): void {
    this.#endLog(bundle);
    this.#groups.close(shim.tenants);
  }

  /**
   * Finds the shim of a bundle again.
   *
   * @returns undefined if it doesn't answer, or has no such task (then it is ended)
   */
  async reconnect(bundle: Bundle): Promise<{ shim: Shim; client: TaskClient; pid: number } | undefined> {
    const shim = await this.#reconnect(bundle);
    if (shim === undefined) return undefined;
    const timeoutMs = this.#options.timeouts.load;
    const client = shim.client(bundle.namespace);
    try {
      const { taskPid: pid } = await client.connect({ id: bundle.id }, { timeoutMs });
      return { shim, client, pid };
    } catch (error) {
      this.#endLog(bundle);
      // Others may live in it.
      if (!this.#groups.leave(shim.tenants, bundle.path)) return undefined;
      this.#options.log.log("warn", "a shim doesn't know its task", { id: bundle.id, error: String(error) });
      if (isCode(error, "notFound")) await client.shutdown({ id: bundle.id, now: true }, { timeoutMs }).catch(() => {});
      await shim.connected.connection.close();
      return undefined;
    }
  }

  /** After a shim that is gone: ends its container, publishes exit and deletion, removes the bundle. */
  async cleanUpAndTell(bundle: Bundle, events: Pick<EventExchange, "publish">): Promise<Exit> {
    const exit = await this.cleanUp(bundle);
    publishEnd(events, bundle, exit);
    await bundle.delete();
    return exit;
  }

  /** After a shim that is gone: has its program end what it kept. */
  async cleanUp(bundle: Bundle): Promise<Exit> {
    const { program } = bundle.recorded();
    const command = program === undefined ? this.#options.shimCommand : [program];
    let exit: Exit = { pid: 0, exitStatus: unknownStatus, exitedAt: nowNanos() };
    try {
      const { daemon, timeouts } = this.#options;
      const answer = await cleanUp(command, bundle, { daemon, timeoutMs: timeouts.cleanup });
      const { pid, exitStatus } = answer;
      exit = { pid, exitStatus, exitedAt: nanosOfTimestamp(answer.exitedAt) ?? exit.exitedAt };
    } catch (error) {
      this.#options.log.log("warn", "cleaning up after a shim failed", { id: bundle.id, error: String(error) });
    }
    unmountAll(bundle.rootfs);
    return exit;
  }

  /** Starts the first spares, when the daemon has begun to serve. */
  prepare(): void {
    this.#prepared = setTimeout(() => {
      this.#spares.fill().catch((error: unknown) => {
        if (this.#closing.signal.aborted) return;
        this.#options.log.log("warn", "no spare shim could be started", { error: String(error) });
      });
    }, 20);
  }

  /** Lets go of all. */
  async close(): Promise<void> {
    clearTimeout(this.#prepared);
    this.#closing.abort();
    await this.#spares.stop();
  }
}

async function within(milliseconds: number, work: Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, milliseconds);
  await Promise.race([work, promise]);
  clearTimeout(timer);
}

function publishEnd(events: Pick<EventExchange, "publish">, bundle: Bundle, { pid, exitStatus, exitedAt }: Exit): void {
  const { id, namespace } = bundle;
  const end = { containerId: id, id, pid, exitStatus, exitedAt: timestampOfNanos(exitedAt) };
  const exit = { typeUrl: "containerd.events.TaskExit", value: TaskExit.encode(end).finish() };
  events.publish({ namespace }, "/tasks/exit", exit);
  const deletion = { typeUrl: "containerd.events.TaskDelete", value: TaskDelete.encode({ ...end, id: "" }).finish() };
  events.publish({ namespace }, "/tasks/delete", deletion);
}

/** From `ttrpc+unix:///…`, as controllers name a sandbox's address. */
function bootstrapOf({ address = "", version = 3 }: TaskSandbox): Bootstrap {
  const [, protocol = "ttrpc", rest = address] = /^(ttrpc|grpc)\+(.*)$/.exec(address) ?? [];
  return { protocol, address: rest, version: version === 0 ? 3 : version };
}

function keyOf({ namespace, id }: Pick<Bundle, "namespace" | "id">): string {
  return `${namespace}/${id}`;
}

function groupOf({ namespace }: Bundle, spec: Uint8Array): string | undefined {
  const text = new TextDecoder().decode(spec);
  // Most containers stand alone: don't parse what can't hold the annotation.
  if (!groupAnnotations.some((name) => text.includes(name))) return undefined;
  const { annotations } = JSON.parse(text) as { annotations?: Record<string, string> };
  const group = groupAnnotations.map((name) => annotations?.[name]).find((name) => name !== undefined);
  return group === undefined ? undefined : `${namespace}/${group}`;
}

/** Those whose groups may share a shim: of one namespace, and with the same options. */
function companyOf({ namespace }: Bundle, options: TypedBytes | undefined): string {
  const text = createHash("sha256")
    .update(options?.value ?? "")
    .digest("hex");
  return `${namespace}/${text}`;
}
