import { SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
import type { Mount } from "@hull/api/gen/containerd/types/mount";
import { type Process as ProcessState, Status } from "@hull/api/gen/containerd/types/task/task";
import type { Any } from "@hull/api/gen/google/protobuf/any";
import type { CallOptions, ServiceClient } from "@hull/api/rpc";
import { nanosOfTimestamp } from "@hull/api/timestamp";
import { encodeJsonAny, jsonTypes } from "@hull/api/typeurl";
import { internal, isCode } from "@hull/errors";
import type { Descriptor } from "@hull/oci/descriptor";
import type { Process as ProcessSpec } from "@hull/oci/spec";
import type { Client } from "./client.ts";
import type { Container } from "./containers.ts";
import { toWireDescriptor } from "./images.ts";
import { removeFifos, type StdioPaths } from "./io/fifos.ts";
import type { Pump } from "./io/pump.ts";

export { type Process as ProcessState, Status } from "@hull/api/gen/containerd/types/task/task";

/** How a process ended: its status (128 + the signal's number if one ended it), and when, in nanoseconds since 1970. */
export interface Exit {
  readonly status: number;
  readonly at: bigint | undefined;
}

/** What a process's stdio is connected to: paths for the shim, and the copying here, if anything is copied here. */
export interface ProcessIo {
  readonly paths: StdioPaths;
  readonly pump?: Pump;
}

/** Nothing: /dev/null for all three. */
export const nullIo: ProcessIo = { paths: { stdin: "", stdout: "", stderr: "", terminal: false } };

/**
 * A process in a container: the task's first, or one that was executed beside it.
 *
 *   newTask / execProcess ──► wait() (asked before the start, so that no end is missed) ──► start ──► … ended ──► delete
 */
export class Process {
  readonly containerId: string;
  /** Empty for the task's own process. */
  readonly execId: string;
  readonly io: ProcessIo;
  pid = 0;
  readonly #tasks: ServiceClient<TasksDefinition>;
  readonly #started = Promise.withResolvers<void>();

  constructor(client: Client, containerId: string, execId: string, io: ProcessIo) {
    this.#tasks = client.service(TasksDefinition);
    this.containerId = containerId;
    this.execId = execId;
    this.io = io;
  }

  async start(): Promise<void> {
    const { pid } = await this.#tasks.start({ containerId: this.containerId, execId: this.execId });
    this.pid = pid;
    this.#started.resolve();
    // A task's streams have been opened by its maker when it was created, an exec's only now.
    if (this.execId !== "") this.connect();
  }

  /** Resolves when the process has ended. */
  async wait(options?: CallOptions): Promise<Exit> {
    const request = { containerId: this.containerId, execId: this.execId };
    const { exitStatus, exitedAt } = await this.#tasks.wait(request, options);
    return { status: exitStatus, at: nanosOfTimestamp(exitedAt) };
  }

  async state(): Promise<ProcessState> {
    const { process } = await this.#tasks.get({ containerId: this.containerId, execId: this.execId });
    if (process === undefined) throw internal(`the state of task "${this.containerId}" did not come`);
    return process;
  }

  /** Sends a signal by number; `all`: to every process of the container. @throws NotFound if it has ended */
  async kill(signal: number, { all = false }: { all?: boolean } = {}): Promise<void> {
    await this.#tasks.kill({ containerId: this.containerId, execId: this.execId, signal, all });
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.#tasks.resizePty({ containerId: this.containerId, execId: this.execId, width: columns, height: rows });
  }

  /** Nothing more comes on its stdin. */
  async closeStdin(): Promise<void> {
    await this.#tasks.closeIO({ containerId: this.containerId, execId: this.execId, stdin: true });
  }

  /** Takes an ended process away, after all of its output has been copied, and then its FIFOs. */
  async delete(): Promise<Exit> {
    await this.io.pump?.drained();
    const { exitStatus, exitedAt } = await this.#deleteRecord();
    this.io.pump?.[Symbol.dispose]();
    removeFifos(this.io.paths);
    return { status: exitStatus, at: nanosOfTimestamp(exitedAt) };
  }

  /** Connects this program to the process's stdio. To be called once the other ends have been opened; `started`: it runs already. */
  connect({ started = false }: { started?: boolean } = {}): void {
    if (started) this.#started.resolve();
    this.io.pump?.start(this.#started.promise, async () => {
      try {
        await this.closeStdin();
      } catch (error) {
        if (!isCode(error, "notFound")) throw error;
      }
    });
  }

  #deleteRecord() {
    const { containerId, execId } = this;
    return execId === "" ? this.#tasks.delete({ containerId }) : this.#tasks.deleteProcess({ containerId, execId });
  }
}

export interface NewTaskOptions {
  /** For the runtime, instead of those of the container's record. */
  readonly options?: Any;
  /** A checkpoint of the process, whose content is here: it goes on from there. */
  readonly checkpoint?: Descriptor;
}

/** Creates a container's task, with its process ready to be started. If that fails, what `io` made is removed. */
export async function newTask(
  client: Client,
  container: Container,
  io: ProcessIo,
  { options, checkpoint }: NewTaskOptions = {},
): Promise<Process> {
  const process = new Process(client, container.id, "", io);
  try {
    const rootfs = await rootfsOf(client, container);
    const { stdin, stdout, stderr, terminal } = io.paths;
    const request = {
      containerId: container.id,
      rootfs,
      stdin,
      stdout,
      stderr,
      terminal,
      options,
      checkpoint: checkpoint && toWireDescriptor(checkpoint),
    };
    const { pid } = await client.service(TasksDefinition).create(request);
    process.pid = pid;
    process.connect();
    return process;
  } catch (error) {
    dropIo(io);
    throw error;
  }
}

async function rootfsOf(client: Client, { snapshotter, snapshotKey }: Container): Promise<Mount[]> {
  if (snapshotKey === "") return [];
  return (await client.service(SnapshotsDefinition).mounts({ snapshotter, key: snapshotKey })).mounts;
}

/** Adds a process to a running task, ready to be started. If that fails, what `io` made is removed. */
export async function execProcess(
  client: Client,
  containerId: string,
  execId: string,
  spec: ProcessSpec,
  io: ProcessIo,
): Promise<Process> {
  const process = new Process(client, containerId, execId, io);
  try {
    const { stdin, stdout, stderr, terminal } = io.paths;
    const request = {
      containerId,
      execId,
      stdin,
      stdout,
      stderr,
      terminal,
      spec: encodeJsonAny(jsonTypes.process, spec),
    };
    await client.service(TasksDefinition).exec(request);
    return process;
  } catch (error) {
    dropIo(io);
    throw error;
  }
}

/** A process that is there already; connected to nothing unless `io` says so. @throws NotFound */
export async function getProcess(client: Client, containerId: string, execId = "", io?: ProcessIo): Promise<Process> {
  const { process: found } = await client.service(TasksDefinition).get({ containerId, execId });
  if (found === undefined) throw internal(`the state of task "${containerId}" did not come`);
  const { stdin, stdout, stderr, terminal, pid } = found;
  const process = new Process(client, containerId, execId, io ?? { paths: { stdin, stdout, stderr, terminal } });
  process.pid = pid;
  return process;
}

/** Resolves when a container's first process has ended, or is gone; at once if there is none. */
export async function endOf(client: Client, containerId: string, options?: CallOptions): Promise<void> {
  try {
    await (await getProcess(client, containerId)).wait(options);
  } catch (error) {
    if (!isCode(error, "notFound")) throw error;
  }
}

/** Takes a task away whatever its state: one that runs is killed first. */
export async function deleteTask(process: Process, { force = false }: { force?: boolean } = {}): Promise<Exit> {
  if (force) {
    const { status } = await process.state();
    if (status !== Status.STOPPED && status !== Status.CREATED) {
      const ended = process.wait();
      await process.kill(9, { all: process.execId === "" });
      await ended;
    }
  }
  return await process.delete();
}

function dropIo({ pump, paths }: ProcessIo): void {
  pump?.[Symbol.dispose]();
  removeFifos(paths);
}
