import { nowNanos } from "@hull/api/timestamp";
import type { EventExchange } from "../events/index.ts";
import { type Logger, silent } from "../log.ts";
import type { Metadata } from "../metadata/index.ts";
import { textOf } from "../metadata/rows.ts";
import { WriteBarrier } from "./barrier.ts";
import type { CleanUp, CollectionStats, GarbageCollector, ObservedRun } from "./index.ts";
import { mark } from "./mark.ts";
import { readGraph } from "./records.ts";
import { CollectionScheduler, type SchedulerOptions } from "./scheduler.ts";
import { runInSteps } from "./steps.ts";
import { sweep } from "./sweep.ts";

export interface CollectorOptions {
  metadata: Metadata;
  events: Pick<EventExchange, "publish">;
  /** What takes files and directories without a record away; asked anew for each run, since snapshotters come with plugins. */
  cleanUps?: () => Iterable<CleanUp>;
  /** When to run by itself; absent: only `collect` runs it. */
  schedule?: Partial<SchedulerOptions>;
  log?: Logger;
}

/** Collects over the metadata of one process. */
export class MetadataCollector implements GarbageCollector {
  readonly #options: CollectorOptions;
  readonly #log: Logger;
  readonly #scheduler: CollectionScheduler | undefined;
  readonly #observers: ((run: ObservedRun) => void)[] = [];
  #running: Promise<CollectionStats> | undefined;
  #next: Promise<CollectionStats> | undefined;

  constructor(options: CollectorOptions) {
    this.#options = options;
    this.#log = options.log ?? silent;
    this.#scheduler =
      options.schedule &&
      new CollectionScheduler(options.schedule, async () => {
        try {
          return (await this.collect()).busyMs;
        } catch (error) {
          this.#log.log("error", "garbage collection failed; it is tried again after the next change", { error });
          return 0;
        }
      });
  }

  changed(kind: "deletion" | "mutation"): void {
    this.#scheduler?.changed(kind);
  }

  collect(): Promise<CollectionStats> {
    if (this.#running === undefined) {
      this.#running = this.#collectObserved().finally(() => {
        this.#running = undefined;
      });
      return this.#running;
    }
    // The one under way may have passed by what its caller has just deleted.
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.collect();
      });
    return this.#next;
  }

  /** Changes when it runs by itself, if it does. */
  reschedule(options: SchedulerOptions): void {
    this.#scheduler?.reconfigure(options);
  }

  observe(listener: (run: ObservedRun) => void): void {
    this.#observers.push(listener);
  }

  async close(): Promise<void> {
    this.#scheduler?.close();
    await (this.#next ?? this.#running)?.catch(() => undefined);
  }

  async #collectObserved(): Promise<CollectionStats> {
    let run: ObservedRun = { ok: false, seconds: 0 };
    try {
      const stats = await this.#collect();
      run = { ok: true, seconds: stats.busyMs / 1000 };
      return stats;
    } finally {
      for (const observe of this.#observers) observe(run);
    }
  }

  async #collect(): Promise<CollectionStats> {
    const { metadata, cleanUps = () => [] } = this.#options;
    const stats: CollectionStats = {
      busyMs: 0,
      pauseMs: 0,
      removed: { images: 0, content: 0, snapshots: 0, leases: 0, ingests: 0 },
    };
    // Before the run, so that what is told meanwhile counts for the next one.
    this.#scheduler?.began();
    for (const row of metadata.sql.prepare("SELECT name FROM namespaces ORDER BY name").all()) {
      await this.#collectNamespace(textOf(row.name), stats);
    }
    // A file must not go while a loss of power could bring its record back.
    await metadata.durable();
    const results = await Promise.allSettled([...cleanUps()].map((cleanUp) => cleanUp()));
    for (const result of results) {
      if (result.status === "rejected") {
        this.#log.log("warn", "some files without a record stay until the next collection", { error: result.reason });
      }
    }
    this.#log.log("debug", "garbage collected", { ...stats.removed, busyMs: stats.busyMs });
    return stats;
  }

  async #collectNamespace(namespace: string, stats: CollectionStats): Promise<void> {
    const { metadata, events } = this.#options;
    const now = nowNanos();
    using barrier = new WriteBarrier(metadata.sql);
    const { graph, expiredLeases } = await runInSteps(readGraph(metadata.sql, namespace, now), stats);
    const reached = await runInSteps(mark(graph), stats);
    const { removed } = stats;
    const run = { metadata, events, barrier, namespace, graph, reached, expiredLeases, removed };
    await runInSteps(sweep(run), stats);
  }
}
