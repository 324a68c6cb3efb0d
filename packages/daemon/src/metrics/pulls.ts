import { decodeJsonAny, jsonTypes } from "@hull/api/typeurl";
import type { EventExchange } from "@hull/engine/events/index";
import type { Metric } from "./exposition.ts";
import { Histogram } from "./histogram.ts";
import type { MetricSource } from "./index.ts";

/** MiB/s, as containerd divides them. */
const throughputBounds = [0.1, 1, 10, 25, 75, 150, 300, 500, 1000, 2000, 4000] as const;

/** What the CRI tells of a pull. */
interface Told {
  readonly phase: string;
  readonly startedAt: number;
  readonly received: number;
}

/** Pulls of the CRI, by the events that they tell of themselves: it may not be loaded yet. */
export class PullMetrics implements MetricSource {
  readonly #byDefault = new Histogram();
  readonly #throughput = new Histogram(throughputBounds);
  #succeeded = 0;
  #failed = 0;
  #running = 0;

  constructor(events: Pick<EventExchange, "observe">) {
    events.observe(({ event }) => {
      if (event.typeUrl === jsonTypes.imagePull) this.#take(decodeJsonAny(event, event.typeUrl) as Told);
    });
  }

  collect(): Metric[] {
    const prefix = "containerd_cri_sandboxed";
    const pulls = [
      { labels: { status: "success" }, value: this.#succeeded },
      { labels: { status: "failure" }, value: this.#failed },
    ];
    const what = "image pull throughput in MiB/s (fetched bytes / pull duration; cached layers excluded)";
    return [
      {
        name: `${prefix}_image_pulls_total`,
        help: "succeeded and failed counters",
        type: "counter",
        samples: pulls.filter(({ value }) => value > 0),
      },
      {
        name: `${prefix}_in_progress_image_pulls_total`,
        help: "in progress pulls",
        type: "gauge",
        samples: [{ value: this.#running }],
      },
      {
        name: `${prefix}_image_pulling_throughput`,
        help: `Deprecated: use image_pulling_throughput_mibps instead. ${what[0]?.toUpperCase()}${what.slice(1)}.`,
        type: "histogram",
        samples: this.#byDefault.samples(),
      },
      {
        name: `${prefix}_image_pulling_throughput_mibps`,
        help: what,
        type: "histogram",
        samples: this.#throughput.samples(),
      },
    ];
  }

  #take({ phase, startedAt, received }: Told): void {
    if (phase === "waiting") this.#running++;
    if (phase !== "done" && phase !== "failed") return;
    this.#running--;
    if (phase === "failed") {
      this.#failed++;
      return;
    }
    this.#succeeded++;
    const seconds = (Date.now() - startedAt) / 1000;
    // What was here already says nothing about the registry.
    if (received === 0 || seconds <= 0) return;
    const rate = received / 2 ** 20 / seconds;
    this.#byDefault.observe(rate);
    this.#throughput.observe(rate);
  }
}
