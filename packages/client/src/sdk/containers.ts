import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { nanosOfTimestamp } from "@hull/api/timestamp";
import { isCode, notFound } from "@hull/errors";
import type { Spec } from "@hull/oci/spec";
import type { Client } from "../client.ts";
import { type Container as ContainerRecord, getContainer, specOf } from "../containers.ts";
import { deleteTask, getProcess, Status } from "../tasks.ts";
import type { Image } from "./images.ts";
import { type LogLine, type LogsOptions, logsOf } from "./log-options.ts";
import type { CreateOptions, ProcessOptions } from "./run-options.ts";
import { createFromOptions, RunningContainer, removeWithLog } from "./running.ts";

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

  /** Starts its first process. @throws AlreadyExists if it has one */
  async start(options: ProcessOptions = {}): Promise<RunningContainer> {
    const { loadOwnProfileFor } = await import("@hull/engine/apparmor/index");
    await loadOwnProfileFor(this.#record.spec?.value ?? new Uint8Array());
    return await RunningContainer.start(this.#client, this.#record, {
      tty: this.spec?.process.terminal ?? false,
      ...options,
    });
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
