import { ContainerCreate, ContainerDelete, ContainerUpdate } from "@hull/api/gen/containerd/events/container";
import { TaskExit } from "@hull/api/gen/containerd/events/task";
import { decodeAny } from "@hull/api/typeurl";
import { HullError } from "@hull/errors";
import type { Container, ContainerStore } from "../containers/index.ts";
import { type Context, contextFor } from "../context.ts";
import { forEachEvent } from "../events/each.ts";
import type { EventEnvelope, EventExchange } from "../events/index.ts";
import type { Logger } from "../log.ts";
import type { NamespaceStore } from "../namespaces/index.ts";
import type { ProcessState, TaskManager } from "../runtime/index.ts";
import type { Snapshotter } from "../snapshots/index.ts";
import { unlessGone } from "../unless-gone.ts";
import { isToRestart, restartCount, restartLabels } from "./policy.ts";

export interface RestartOptions {
  events: Pick<EventExchange, "subscribe">;
  namespaces: Pick<NamespaceStore, "list">;
  containers: Pick<ContainerStore, "get" | "list" | "update">;
  tasks: Pick<TaskManager, "create" | "start" | "get" | "kill" | "wait" | "delete">;
  snapshotter: (name: string) => Pick<Snapshotter, "mounts"> | undefined;
  /** Milliseconds between looks at the containers that have the labels. */
  interval: number;
  /** Milliseconds from the end of a task to its restart. Default: 500. */
  firstDelay?: number;
  log: Logger;
}

/** A container that has the label. */
interface Watched {
  readonly ctx: Context;
  readonly id: string;
  /** Milliseconds since 1970 before which it is left to the client that has just made it, and is about to start it. */
  readonly lookedAtFrom: number;
  /** Milliseconds that the next restart waits. */
  delay: number;
  /** When it was started by us, ms since 1970. */
  startedAt: number;
  /** Set while a restart waits. */
  timer?: ReturnType<typeof setTimeout>;
  /** Set while something is done to it. */
  busy?: Promise<void>;
}

const SIGKILL = 9;
/** A task that ran for so long (ms) has come up: its next end is a first one again. */
const settled = 10_000;
const topics = ["/tasks/exit", "/containers/create", "/containers/update", "/containers/delete"];

/** Keeps containers as their labels want them; see this folder's index. It does nothing before `begin`. */
export class ContainerRestarts {
  readonly #options: RestartOptions;
  readonly #firstDelay: number;
  readonly #watched = new Map<string, Watched>();
  readonly #stop = new AbortController();
  #following: Promise<void> | undefined;
  #beginning: Promise<void> | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(options: RestartOptions) {
    this.#options = options;
    this.#firstDelay = Math.min(options.firstDelay ?? 500, options.interval);
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
      this.#options.log.log("error", "containers to restart could not be listed", { error: String(error) });
    });
  }

  async #findAll(): Promise<void> {
    for (const { name } of await this.#options.namespaces.list()) {
      const ctx = contextFor(name);
      for (const container of await this.#options.containers.list(ctx, [`labels."${restartLabels.status}"`]))
        this.#watch(ctx, container, Date.now());
    }
    await this.#lookAtAll();
  }

  /** Ends the looking; containers go on. */
  async close(): Promise<void> {
    this.#stop.abort();
    clearInterval(this.#timer);
    for (const { timer } of this.#watched.values()) clearTimeout(timer);
    await this.#following;
    await this.#beginning;
    await Promise.all([...this.#watched.values()].map(({ busy }) => busy));
  }

  async #take({ namespace, topic, event }: EventEnvelope): Promise<void> {
    switch (topic) {
      case "/tasks/exit": {
        const { containerId, id, pid } = decodeAny(event, "containerd.events.TaskExit", TaskExit);
        const watched = this.#watched.get(keyOf(namespace, containerId));
        if (id === containerId && watched !== undefined) this.#restartLater(watched, pid);
        return;
      }
      case "/containers/create": {
        const { id } = decodeAny(event, "containerd.events.ContainerCreate", ContainerCreate);
        return await this.#reconsider(namespace, id, Date.now() + this.#options.interval);
      }
      case "/containers/update": {
        const { id } = decodeAny(event, "containerd.events.ContainerUpdate", ContainerUpdate);
        return await this.#reconsider(namespace, id, Date.now());
      }
      default: {
        const { id } = decodeAny(event, "containerd.events.ContainerDelete", ContainerDelete);
        this.#forget(keyOf(namespace, id));
      }
    }
  }

  /** A record has changed: it has the label now, or no longer. */
  async #reconsider(namespace: string, id: string, lookedAtFrom: number): Promise<void> {
    const ctx = contextFor(namespace);
    const container = await unlessGone(() => this.#options.containers.get(ctx, id));
    if (container === undefined || container.labels[restartLabels.status] === undefined)
      return this.#forget(keyOf(namespace, id));
    const watched = this.#watch(ctx, container, lookedAtFrom);
    if (watched === undefined) return;
    // It may have ended before it got the label.
    const task = await unlessGone(() => this.#options.tasks.get(ctx, id));
    if (task?.status === "stopped") this.#restartLater(watched, task.pid);
  }

  /** Undefined if it was watched already. */
  #watch(ctx: Context, { id }: Container, lookedAtFrom: number): Watched | undefined {
    const key = keyOf(ctx.namespace, id);
    if (this.#watched.has(key) || this.#stop.signal.aborted) return undefined;
    const watched: Watched = { ctx, id, lookedAtFrom, delay: this.#firstDelay, startedAt: 0 };
    this.#watched.set(key, watched);
    // The timer runs only while there is something to look at.
    this.#timer ??= setInterval(() => void this.#lookAtAll(), this.#options.interval);
    return watched;
  }

  #forget(key: string): void {
    clearTimeout(this.#watched.get(key)?.timer);
    this.#watched.delete(key);
    if (this.#watched.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async #lookAtAll(): Promise<void> {
    const now = Date.now();
    const due = [...this.#watched.values()].filter((one) => one.timer === undefined && one.lookedAtFrom <= now);
    await Promise.all(due.map((watched) => this.#exclusive(watched, () => this.#reconcile(watched))));
  }

  #restartLater(watched: Watched, pid: number): void {
    if (watched.timer !== undefined || this.#stop.signal.aborted) return;
    if (Date.now() - watched.startedAt > settled) watched.delay = this.#firstDelay;
    watched.timer = setTimeout(() => {
      watched.timer = undefined;
      void this.#exclusive(watched, () => this.#reconcile(watched, pid));
    }, watched.delay);
    watched.delay = Math.min(watched.delay * 2, this.#options.interval);
  }

  /** One thing at a time is done to a container; what comes while it is, is left for the next look. */
  async #exclusive(watched: Watched, work: () => Promise<void>): Promise<void> {
    if (watched.busy !== undefined || this.#stop.signal.aborted) return;
    watched.busy = work()
      .catch((error: unknown) => {
        this.#complain("a container could not be brought to what its labels want", watched.ctx, error, watched.id);
      })
      .finally(() => {
        watched.busy = undefined;
      });
    await watched.busy;
  }

  /** With `pid`, only if the task that ended as this process is still there. */
  async #reconcile(watched: Watched, pid?: number): Promise<void> {
    const { ctx, id } = watched;
    const container = await unlessGone(() => this.#options.containers.get(ctx, id));
    if (container === undefined) return;
    const task = await unlessGone(() => this.#options.tasks.get(ctx, id));
    if (pid !== undefined && task?.pid !== pid) return;
    const { labels } = container;
    const wanted = labels[restartLabels.status];
    if (wanted === task?.status) return;
    if (wanted === "stopped") await this.#remove(ctx, task);
    if (wanted !== "running" || task?.status === "paused" || task?.status === "pausing") return;
    if (!isToRestart(labels, task?.exitStatus ?? 0)) return;
    await this.#startAgain(watched, container, task);
  }

  async #startAgain(watched: Watched, container: Container, old: ProcessState | undefined): Promise<void> {
    const { ctx, id } = watched;
    const { containers, tasks, snapshotter, log } = this.#options;
    const count = String(restartCount(container.labels) + 1);
    const labels = { [restartLabels.count]: count };
    await containers.update(ctx, { ...container, labels }, [`labels.${restartLabels.count}`]);
    await this.#remove(ctx, old);
    const { terminal } = processOf(container);
    const output = container.labels[restartLabels.logUri] ?? "";
    const rootfs =
      container.snapshotKey === ""
        ? []
        : ((await snapshotter(container.snapshotter)?.mounts(ctx, container.snapshotKey)) ?? []);
    await tasks.create(ctx, { id, rootfs, terminal, stdin: "", stdout: output, stderr: terminal ? "" : output });
    watched.startedAt = Date.now();
    try {
      await tasks.start(ctx, id);
    } catch (error) {
      await tasks.delete(ctx, id).catch(() => undefined);
      throw error;
    }
    log.log("info", "a container was started again", { namespace: ctx.namespace, id, count });
  }

  /** Ends a task and takes it away. */
  async #remove(ctx: Context, task: ProcessState | undefined): Promise<void> {
    if (task === undefined) return;
    const { tasks } = this.#options;
    const { id } = task;
    if (task.status !== "stopped") {
      const ended = unlessGone(() => tasks.wait(ctx, id));
      await unlessGone(() => tasks.kill(ctx, id, { signal: SIGKILL, all: true }));
      await ended;
    }
    await unlessGone(() => tasks.delete(ctx, id));
  }

  #complain(message: string, { namespace }: Pick<Context, "namespace">, error: unknown, id?: string): void {
    this.#options.log.log("error", message, { namespace, id, error: HullError.from(error).message });
  }
}

const keyOf = (namespace: string, id: string): string => `${namespace}/${id}`;

function processOf({ spec }: Container): { terminal: boolean } {
  const parsed: unknown = JSON.parse(new TextDecoder().decode(spec.value));
  const of = (value: unknown, key: string): unknown =>
    typeof value === "object" && value !== null ? Object.entries(value).find(([name]) => name === key)?.[1] : undefined;
  return { terminal: of(of(parsed, "process"), "terminal") === true };
}
