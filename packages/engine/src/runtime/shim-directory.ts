/**
 * The shims that this daemon knows: started, shared by the containers of a group, found again, given back, cleaned up after.
 */

import { dirname } from "node:path";
import { TaskDelete, TaskExit } from "@hull/api/gen/containerd/events/task";
import { nanosOfTimestamp, nowNanos, timestampOfNanos } from "@hull/api/timestamp";
import { isCode } from "@hull/errors";
import { close, openFifo } from "@hull/sys/fd";
import { unmountAll } from "@hull/sys/mount";
import { readStream } from "@hull/sys/stream";
import type { EventExchange } from "../events/index.ts";
import type { TypedBytes } from "../labels.ts";
import type { Logger } from "../log.ts";
import type { Bundle, RuntimeDirectories } from "./bundle.ts";
import type { Exit } from "./index.ts";
import { findShimBinary, isOwnRuntime } from "./shim-binary.ts";
import { connectShim, type ShimConnection, type TaskClient, taskClient } from "./shim-connection.ts";
import { cleanUp, type DaemonAddress, startShim } from "./shim-process.ts";
import { type SpareShim, SpareShims } from "./spare-shims.ts";
import type { TaskTimeouts } from "./task-manager.ts";

/** A shim in use. */
export class Shim {
  readonly connected: ShimConnection;
  /** Ours, started by this daemon: it can be used again. */
  readonly spare: SpareShim | undefined;
  /** Key of the group that it serves, if there may be more than one container. */
  readonly group: string | undefined;
  containers = 1;

  constructor(connected: ShimConnection, options: { spare?: SpareShim; group?: string } = {}) {
    this.connected = connected;
    this.spare = options.spare;
    this.group = options.group;
  }

  /** Resolves when the connection has ended, from whichever side. */
  get lost(): Promise<void> {
    return this.connected.connection.closed;
  }

  client(namespace: string): TaskClient {
    return taskClient(this.connected, namespace);
  }
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
  readonly #groups = new Map<string, Shim>();
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

  /** A shim for a bundle, recorded in it. @throws see `findShimBinary`, `startShim`, `connectShim` */
  async start(
    runtime: string,
    bundle: Bundle,
    { options, spec, signal }: { options?: TypedBytes; spec: Uint8Array; signal: AbortSignal },
  ): Promise<Shim> {
    if (!this.isOwn(runtime)) return await this.#startOther(runtime, bundle, options, signal);
    const group = groupOf(bundle, spec);
    const running = group === undefined ? undefined : this.#groups.get(group);
    if (running !== undefined) {
      running.containers++;
      bundle.record(running.connected.bootstrap, undefined);
      return running;
    }
    const spare = await this.#spares.take(bundle.namespace, this.#options.daemon.ttrpc);
    const shim = new Shim(spare, { spare, group });
    if (group !== undefined) this.#groups.set(group, shim);
    bundle.record(spare.bootstrap, undefined);
    return shim;
  }

  async #startOther(
    runtime: string,
    bundle: Bundle,
    options: TypedBytes | undefined,
    signal: AbortSignal,
  ): Promise<Shim> {
    const { daemon } = this.#options;
    let program = this.#binaries.get(runtime);
    if (program === undefined) {
      program = findShimBinary(runtime, { beside: dirname(daemon.binary) });
      this.#binaries.set(runtime, program);
    }
    // A shim opens its log before anything else, and waits there for a reader.
    this.#followLog(bundle.createLog(), bundle);
    const bootstrap = await startShim(program, bundle, { daemon, runtimeOptions: options, signal });
    bundle.record(bootstrap, program);
    return new Shim(await connectShim(bootstrap));
  }

  #followLog(path: string, { namespace, id }: Bundle): void {
    const fd = openFifo(path, { nonBlocking: true });
    const stop = new AbortController();
    this.#logs.set(`${namespace}/${id}`, stop);
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
  #endLog({ namespace, id }: Bundle): void {
    this.#logs.get(`${namespace}/${id}`)?.abort();
    this.#logs.delete(`${namespace}/${id}`);
  }

  /** A container of the shim is gone; with the last one the shim goes too, or becomes a spare. */
  async release(shim: Shim, bundle: Bundle): Promise<void> {
    this.#endLog(bundle);
    if (--shim.containers > 0) return;
    this.forget(shim, bundle);
    if (shim.spare !== undefined && this.#spares.giveBack(shim.spare)) return;
    const { shutdown: timeoutMs } = this.#options.timeouts;
    const { connection } = shim.connected;
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
    if (shim.group !== undefined) this.#groups.delete(shim.group);
  }

  /**
   * Finds the shim of a bundle again.
   *
   * @returns undefined if it doesn't answer, or has no such task (then it is ended)
   */
  async reconnect(bundle: Bundle): Promise<{ shim: Shim; client: TaskClient; pid: number } | undefined> {
    const { bootstrap, program } = bundle.recorded();
    if (bootstrap === undefined) return undefined;
    const timeoutMs = this.#options.timeouts.load;
    let connected: ShimConnection;
    try {
      connected = await connectShim(bootstrap);
    } catch {
      return undefined;
    }
    const client = taskClient(connected, bundle.namespace);
    try {
      if (program !== undefined) this.#followLog(`${bundle.path}/log`, bundle);
      const { taskPid: pid } = await client.connect({ id: bundle.id }, { timeoutMs });
      return { shim: new Shim(connected), client, pid };
    } catch (error) {
      this.#endLog(bundle);
      this.#options.log.log("warn", "a shim doesn't know its task", { id: bundle.id, error: String(error) });
      if (isCode(error, "notFound")) await client.shutdown({ id: bundle.id, now: true }, { timeoutMs }).catch(() => {});
      await connected.connection.close();
      return undefined;
    }
  }

  /** After a shim that is gone: ends its container, publishes exit and deletion, removes the bundle. */
  async cleanUpAndTell(bundle: Bundle, events: Pick<EventExchange, "publish">): Promise<Exit> {
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
    publishEnd(events, bundle, exit);
    await bundle.delete();
    return exit;
  }

  /** Starts the first spares, when the daemon has begun to serve. */
  prepare(): void {
    this.#prepared = setTimeout(() => {
      this.#spares.fill().catch((error: unknown) => {
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

function groupOf({ namespace }: Bundle, spec: Uint8Array): string | undefined {
  const text = new TextDecoder().decode(spec);
  // Most containers stand alone: don't parse what can't hold the annotation.
  if (!groupAnnotations.some((name) => text.includes(name))) return undefined;
  const { annotations } = JSON.parse(text) as { annotations?: Record<string, string> };
  const group = groupAnnotations.map((name) => annotations?.[name]).find((name) => name !== undefined);
  return group === undefined ? undefined : `${namespace}/${group}`;
}
