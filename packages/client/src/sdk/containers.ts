import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
import { nanosOfTimestamp } from "@hull/api/timestamp";
import { isCode, notFound } from "@hull/errors";
import type { Spec } from "@hull/oci/spec";
import type { Client } from "../client.ts";
import { type Container as ContainerRecord, getContainer, specOf } from "../containers.ts";
import { deleteTask, getProcess, Status } from "../tasks.ts";
import type { Image } from "./images.ts";
import { type LogLine, type LogsOptions, logsOf } from "./log-options.ts";
import { type Exit, exitOf, ignoring, type StopOptions, stopProcess } from "./process.ts";
import type { CreateOptions, ProcessOptions } from "./run-options.ts";
import { createFromOptions, ExecutedProcess, RunningContainer, removeWithLog } from "./running.ts";
import { type SignalName, signalNumber } from "./signals.ts";
import { type ContainerStats, statsOf } from "./stats.ts";

/** The containers of a namespace, whether they run or not. */
export class Containers {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  /** Those that match any of the filters (`labels.team==web`); all without one. */
  async list(...filters: string[]): Promise<Container[]> {
    const { containers } = await this.#client.service(ContainersDefinition).list({ filters });
    return containers.map((record) => new Container(this.#client, record));
  }

  /** @throws NotFound */
  async get(id: string): Promise<Container> {
    try {
      return new Container(this.#client, await getContainer(this.#client, id));
    } catch (error) {
      if (!isCode(error, "notFound")) throw error;
      throw notFound(`there is no container "${id}" in namespace "${this.#client.namespace}"`, { cause: error });
    }
  }

  /** Makes a container of an image that is here, without starting it. */
  async create(image: Image, options: CreateOptions = {}): Promise<Container> {
    return new Container(this.#client, await createFromOptions(this.#client, image, options));
  }
}

/** What a container's first process is doing. */
export type ContainerState =
  | { readonly status: "none" }
  | { readonly status: "created" | "running" | "paused" | "unknown"; readonly pid: number }
  | { readonly status: "stopped"; readonly pid: number; readonly code: number };

/** A container's record. */
export class Container {
  readonly id: string;
  readonly image: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAt: Date;
  readonly #client: Client;
  readonly #record: ContainerRecord;

  constructor(client: Client, record: ContainerRecord) {
    this.#client = client;
    this.#record = record;
    this.id = record.id;
    this.image = record.image;
    this.labels = record.labels;
    this.createdAt = new Date(Number((nanosOfTimestamp(record.createdAt) ?? 0n) / 1_000_000n));
  }

  /** What it runs, in the terms of the OCI runtime specification; undefined if it is in none that is known here. */
  get spec(): Spec | undefined {
    return specOf(this.#record);
  }

  async state(): Promise<ContainerState> {
    try {
      const { pid, status, exitStatus } = await (await getProcess(this.#client, this.id)).state();
      switch (status) {
        case Status.CREATED:
          return { status: "created", pid };
        case Status.RUNNING:
          return { status: "running", pid };
        case Status.PAUSED:
        case Status.PAUSING:
          return { status: "paused", pid };
        case Status.STOPPED:
          return { status: "stopped", pid, code: exitStatus };
        default:
          return { status: "unknown", pid };
      }
    } catch (error) {
      if (isCode(error, "notFound")) return { status: "none" };
      throw error;
    }
  }

  /** Starts its first process, or starts it once more when it has ended. @throws AlreadyExists if it has one that hasn't */
  async start(options: ProcessOptions = {}): Promise<RunningContainer> {
    await this.#dropEnded();
    const { loadOwnProfileFor } = await import("@hull/engine/apparmor/index");
    await loadOwnProfileFor(this.#record.spec?.value ?? new Uint8Array());
    return await RunningContainer.start(this.#client, this.#record, {
      tty: this.spec?.process.terminal ?? false,
      ...options,
    });
  }

  /** Takes its first process away, if that has ended. */
  async #dropEnded(): Promise<void> {
    try {
      const process = await getProcess(this.#client, this.id);
      if ((await process.state()).status === Status.STOPPED) await deleteTask(process);
    } catch (error) {
      if (!isCode(error, "notFound")) throw error;
    }
  }

  /**
   * The lines of its log, if it keeps one: by the option `log`, or by `hull run -d`.
   *
   *     for await (const { text } of container.logs({ tail: 10, follow: true })) console.log(text);
   *
   * @throws FailedPrecondition if it keeps none
   */
  logs(options: LogsOptions = {}): AsyncGenerator<LogLine, void, undefined> {
    return logsOf(this.#client, this.#record, options);
  }

  /**
   * Runs another process in it, beside its first, whoever started that.
   * @throws NotFound or FailedPrecondition if it doesn't run
   */
  exec(command: readonly string[], options: ProcessOptions = {}): Promise<ExecutedProcess> {
    return ExecutedProcess.start(this.#client, this.#record, command, options);
  }

  /** Resolves when its first process has ended. @throws NotFound if it has none */
  async wait(): Promise<Exit> {
    return await exitOf(await getProcess(this.#client, this.id));
  }

  /** Sends its first process a signal, SIGTERM unless told. One that has ended takes none, and that is fine. */
  async kill(signal: SignalName | number = "SIGTERM"): Promise<void> {
    const process = await getProcess(this.#client, this.id);
    await ignoring("notFound", process.kill(signalNumber(signal)));
  }

  /** Asks it to end, and kills it if it hasn't after so many milliseconds (10,000). @throws NotFound if it has no process */
  async stop(options: StopOptions = {}): Promise<Exit> {
    const process = await getProcess(this.#client, this.id);
    const exit = exitOf(process);
    // Where it can't be asked to end that is what the caller is told.
    exit.catch(() => {});
    return await stopProcess({ kill: (signal) => this.kill(signal), exit }, options);
  }

  async pause(): Promise<void> {
    await this.#client.service(TasksDefinition).pause({ containerId: this.id });
  }

  async resume(): Promise<void> {
    await this.#client.service(TasksDefinition).resume({ containerId: this.id });
  }

  /** What its processes take. @throws FailedPrecondition if it has none */
  stats(): Promise<ContainerStats> {
    return statsOf(this.#client, this.id);
  }

  /** Takes it away, files and all; one that runs is killed if `force`. @throws FailedPrecondition if it runs */
  async remove({ force = false } = {}): Promise<void> {
    try {
      await deleteTask(await getProcess(this.#client, this.id), { force });
    } catch (error) {
      if (!isCode(error, "notFound")) throw error;
    }
    await removeWithLog(this.#client, this.#record);
  }
}
