import { decodeAny, isType } from "@hull/api/typeurl";
import type { ContainerStore } from "@hull/engine/containers/index";
import type { TypedBytes } from "@hull/engine/labels";
import type { Logger } from "@hull/engine/log";
import type { NamespaceStore } from "@hull/engine/namespaces/index";
import type { TaskManager } from "@hull/engine/runtime/index";
import { deadlineExceeded, HullError } from "@hull/errors";
import type { CgroupMetric } from "./cgroup.ts";
import type { Metric, Sample } from "./exposition.ts";
import type { MetricSource } from "./index.ts";

export interface TaskMetricsOptions {
  readonly tasks: Pick<TaskManager, "list" | "stats">;
  readonly containers: Pick<ContainerStore, "get">;
  readonly namespaces: Pick<NamespaceStore, "list">;
  /** How long one shim may take, ms. */
  readonly timeoutMs: number;
  readonly log: Logger;
}

/** The labels that tell one task's samples from another's. */
type TaskLabels = Readonly<Record<"container_id" | "namespace" | "runtime", string>>;

/** What the cgroup of every task says, asked of its shim at each scrape; a shim that doesn't answer in time is left out. */
export class TaskMetrics implements MetricSource {
  readonly #options: TaskMetricsOptions;

  constructor(options: TaskMetricsOptions) {
    this.#options = options;
  }

  async collect(): Promise<Metric[]> {
    const { namespaces } = this.#options;
    const metrics = new MetricSet();
    const lists = (await namespaces.list()).map(({ name }) => this.#collectNamespace(name, metrics));
    await Promise.all(lists);
    return metrics.all;
  }

  async #collectNamespace(namespace: string, metrics: MetricSet): Promise<void> {
    const { tasks, containers } = this.#options;
    const ctx = { namespace, signal: AbortSignal.timeout(this.#options.timeoutMs) };
    const asked = (await tasks.list(ctx)).map(async ({ id }) => {
      try {
        const { runtime } = await containers.get(ctx, id);
        const stats = await within(tasks.stats(ctx, id), this.#options.timeoutMs);
        await metrics.add({ container_id: id, namespace, runtime: runtime.name }, stats);
      } catch (thrown) {
        const { message } = HullError.from(thrown);
        this.#options.log.log("debug", "a task gives no metrics", { id, namespace, error: message });
      }
    });
    await Promise.all(asked);
  }
}

/** Samples of many tasks by metric. */
class MetricSet {
  readonly #byName = new Map<string, { help: string; samples: Sample[] }>();

  get all(): Metric[] {
    return [...this.#byName].map(([name, { help, samples }]) => ({ name, help, type: "gauge", samples }));
  }

  async add(labels: TaskLabels, stats: TypedBytes): Promise<void> {
    // Of the two tables a host needs one.
    if (isType(stats, "io.containerd.cgroups.v2.Metrics")) {
      const [{ Metrics }, { cgroupV2Metrics }] = await Promise.all([
        import("@hull/api/gen/cgroups/v2/metrics"),
        import("./cgroup-v2.ts"),
      ]);
      this.#take(labels, decodeAny(stats, "io.containerd.cgroups.v2.Metrics", Metrics), cgroupV2Metrics);
      return;
    }
    const [{ Metrics }, { cgroupV1Metrics }] = await Promise.all([
      import("@hull/api/gen/cgroups/v1/metrics"),
      import("./cgroup-v1.ts"),
    ]);
    this.#take(labels, decodeAny(stats, "io.containerd.cgroups.v1.Metrics", Metrics), cgroupV1Metrics);
  }

  #take<Stats>(labels: TaskLabels, stats: Stats, table: readonly CgroupMetric<Stats>[]): void {
    for (const { name, help, values } of table) {
      const full = `container_${name}`;
      const metric = this.#byName.get(full) ?? { help, samples: [] };
      this.#byName.set(full, metric);
      for (const sample of values(stats)) metric.samples.push({ ...sample, labels: { ...sample.labels, ...labels } });
    }
  }
}

async function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(deadlineExceeded(`the shim did not answer within ${ms} ms`)), ms);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
