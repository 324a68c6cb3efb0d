import { ContainerDelete } from "@hull/api/gen/containerd/events/container";
import { TaskExit, TaskStart } from "@hull/api/gen/containerd/events/task";
import { decodeAny } from "@hull/api/typeurl";
import { HullError } from "@hull/errors";
import type { Container, ContainerStore } from "../containers/index.ts";
import { type Context, contextFor } from "../context.ts";
import { forEachEvent } from "../events/each.ts";
import type { EventEnvelope, EventExchange } from "../events/index.ts";
import type { Logger } from "../log.ts";
import type { NamespaceStore } from "../namespaces/index.ts";
import type { TaskManager } from "../runtime/index.ts";
import { unlessGone } from "../unless-gone.ts";
import { check } from "./check.ts";
import { type HealthStatus, healthLabels, type Probe, probeOf } from "./config.ts";
import { type HealthRecord, type HealthResult, readHealth, removeHealth, writeHealth } from "./record.ts";

export interface HealthOptions {
  events: Pick<EventExchange, "subscribe">;
  namespaces: Pick<NamespaceStore, "list">;
  containers: Pick<ContainerStore, "get" | "list" | "update">;
  tasks: Pick<TaskManager, "get" | "exec" | "start" | "wait" | "kill" | "deleteProcess">;
  /** Where the checks of a container are kept. */
  fileOf: (namespace: string, id: string) => string;
  /** Directory for FIFOs. */
  fifos: string;
  log: Logger;
}

/** A container that runs and is checked. */
interface Watched {
  readonly ctx: Context;
  readonly id: string;
  readonly probe: Probe;
  status: HealthStatus;
  record: HealthRecord;
  timer?: ReturnType<typeof setTimeout>;
  /** Set while a check runs. */
  busy?: Promise<void>;
}

const topics = ["/tasks/start", "/tasks/exit", "/containers/delete"];
const kept = 5;

/** Checks the health of containers; see this folder's index. It does nothing before `begin`. */
export class ContainerHealth {
  readonly #options: HealthOptions;
  readonly #watched = new Map<string, Watched>();
  readonly #stop = new AbortController();
  #following: Promise<void> | undefined;
  #beginning: Promise<void> | undefined;

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  /** Starts to look after containers. To be called when the tasks are known. */
  begin(): void {
    const filters = topics.map((topic) => `topic=="${topic}"`);
    this.#following = forEachEvent(
      this.#options.events.subscribe(filters, this.#stop.signal),
      (event) => this.#take(event),
      (event, error) => this.#complain("an event could not be followed", event, error),
    );
    this.#beginning = this.#findAll().catch((error: unknown) => {
      this.#options.log.log("error", "containers with a health check could not be listed", { error: String(error) });
    });
  }

  /** Ends the checks; containers go on. */
  async close(): Promise<void> {
    this.#stop.abort();
    for (const { timer } of this.#watched.values()) clearTimeout(timer);
    await this.#following;
    await this.#beginning;
    await Promise.all([...this.#watched.values()].map(({ busy }) => busy));
  }

  /** Those that run already: their checks go on where those of an earlier daemon ended. */
  async #findAll(): Promise<void> {
    for (const { name } of await this.#options.namespaces.list()) {
      const ctx = contextFor(name);
      for (const container of await this.#options.containers.list(ctx, [`labels."${healthLabels.check}"`])) {
        const task = await unlessGone(() => this.#options.tasks.get(ctx, container.id));
        if (task?.status !== "running" && task?.status !== "paused") continue;
        const record = readHealth(this.#options.fileOf(name, container.id));
        if (record === undefined) await this.#begin(ctx, container);
        else this.#watch(ctx, container, statusOf(container), record);
      }
    }
  }

  async #take({ namespace, topic, event }: EventEnvelope): Promise<void> {
    switch (topic) {
      case "/tasks/start": {
        const ctx = contextFor(namespace);
        const { containerId } = decodeAny(event, "containerd.events.TaskStart", TaskStart);
        const container = await unlessGone(() => this.#options.containers.get(ctx, containerId));
        if (container !== undefined) await this.#begin(ctx, container);
        return;
      }
      case "/tasks/exit": {
        const { containerId, id } = decodeAny(event, "containerd.events.TaskExit", TaskExit);
        if (id === containerId) this.#forget(keyOf(namespace, id));
        return;
      }
      default: {
        const { id } = decodeAny(event, "containerd.events.ContainerDelete", ContainerDelete);
        this.#forget(keyOf(namespace, id));
        removeHealth(this.#options.fileOf(namespace, id));
      }
    }
  }

  /** It has just been started. */
  async #begin(ctx: Context, container: Container): Promise<void> {
    if (probeOf(container.labels) === undefined) return;
    const record = { startedAt: Date.now(), failingStreak: 0, log: [] };
    writeHealth(this.#options.fileOf(ctx.namespace, container.id), record);
    await this.#label(ctx, container, "starting");
    this.#watch(ctx, container, "starting", record);
  }

  #watch(ctx: Context, { id, labels }: Container, status: HealthStatus, record: HealthRecord): void {
    const probe = probeOf(labels);
    const key = keyOf(ctx.namespace, id);
    if (probe === undefined || this.#stop.signal.aborted) return;
    this.#forget(key);
    const watched: Watched = { ctx, id, probe, status, record };
    this.#watched.set(key, watched);
    this.#schedule(watched);
  }

  #schedule(watched: Watched): void {
    if (this.#stop.signal.aborted || !this.#isCurrent(watched)) return;
    const { probe, status } = watched;
    const delay = status === "starting" && isStarting(watched) ? probe.startInterval : probe.interval;
    watched.timer = setTimeout(() => {
      watched.busy = this.#check(watched)
        .catch((error: unknown) => {
          this.#complain("the health of a container could not be checked", watched.ctx, error, watched.id);
        })
        .finally(() => {
          watched.busy = undefined;
          this.#schedule(watched);
        });
    }, delay);
  }

  async #check(watched: Watched): Promise<void> {
    const { ctx, id, probe } = watched;
    const { containers, tasks, fifos } = this.#options;
    const [container, task] = await Promise.all([
      unlessGone(() => containers.get(ctx, id)),
      unlessGone(() => tasks.get(ctx, id)),
    ]);
    // What is paused is left alone.
    if (container === undefined || task?.status !== "running") return;
    const result = await check({ tasks, directory: fifos }, ctx, container, probe);
    // It ended meanwhile, or was started anew: this says nothing.
    if (!this.#isCurrent(watched)) return;
    const before = watched.status;
    take(watched, result);
    writeHealth(this.#options.fileOf(ctx.namespace, id), watched.record);
    if (watched.status !== before) await this.#label(ctx, container, watched.status);
  }

  async #label(ctx: Context, container: Container, status: HealthStatus): Promise<void> {
    if (container.labels[healthLabels.status] === status) return;
    const labels = { [healthLabels.status]: status };
    const path = `labels.${healthLabels.status}`;
    await unlessGone(() => this.#options.containers.update(ctx, { ...container, labels }, [path]));
  }

  #isCurrent(watched: Watched): boolean {
    return this.#watched.get(keyOf(watched.ctx.namespace, watched.id)) === watched;
  }

  #forget(key: string): void {
    clearTimeout(this.#watched.get(key)?.timer);
    this.#watched.delete(key);
  }

  #complain(message: string, { namespace }: Pick<Context, "namespace">, error: unknown, id?: string): void {
    this.#options.log.log("error", message, { namespace, id, error: HullError.from(error).message });
  }
}

const keyOf = (namespace: string, id: string): string => `${namespace}/${id}`;

const isStarting = ({ probe, record }: Pick<Watched, "probe" | "record">): boolean =>
  Date.now() - record.startedAt < probe.startPeriod;

function statusOf({ labels }: Pick<Container, "labels">): HealthStatus {
  const status = labels[healthLabels.status];
  return status === "healthy" || status === "unhealthy" ? status : "starting";
}

/** What a check says of a container. In the start period, and before one has succeeded, a failure counts for nothing. */
function take(watched: Watched, result: HealthResult): void {
  const { probe, record } = watched;
  const log = [...record.log, result].slice(-kept);
  if (result.ExitCode === 0) {
    watched.status = "healthy";
    watched.record = { ...record, failingStreak: 0, log };
    return;
  }
  const early =
    watched.status === "starting" && new Date(result.Start).getTime() - record.startedAt < probe.startPeriod;
  const failingStreak = record.failingStreak + (early ? 0 : 1);
  watched.record = { ...record, failingStreak, log };
  if (!early && failingStreak >= probe.retries) watched.status = "unhealthy";
}
