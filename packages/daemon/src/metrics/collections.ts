import type { GarbageCollector } from "@hull/engine/gc/index";
import type { Metric } from "./exposition.ts";
import { Histogram } from "./histogram.ts";
import type { MetricSource } from "./index.ts";

/** The garbage collector's runs. */
export class CollectionMetrics implements MetricSource {
  readonly #seconds = new Histogram();
  #succeeded = 0;
  #failed = 0;

  constructor(gc: Pick<GarbageCollector, "observe">) {
    gc.observe(({ ok, seconds }) => {
      if (!ok) this.#failed++;
      else {
        this.#succeeded++;
        this.#seconds.observe(seconds);
      }
    });
  }

  collect(): Metric[] {
    const runs = [
      { labels: { status: "success" }, value: this.#succeeded },
      { labels: { status: "fail" }, value: this.#failed },
    ];
    return [
      {
        name: "containerd_gc_collections_total",
        help: "counter of gc scheduler collections",
        type: "counter",
        // A status is shown once there was a run that ended so.
        samples: runs.filter(({ value }) => value > 0),
      },
      {
        name: "containerd_gc_gc_seconds",
        help: "histogram of gc scheduler collections",
        type: "histogram",
        samples: this.#seconds.samples(),
      },
    ];
  }
}
