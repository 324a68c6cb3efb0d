import type { Metric } from "./exposition.ts";

/**
 * Metrics for Prometheus, under containerd's names. Nothing is counted and none of this is loaded unless an address is configured.
 *
 *   serveMetrics(address, sources) ──GET /v1/metrics──► every source asked, one text ──dispose──► the port closed
 *
 * A source knows the metrics of one thing: calls (`calls.ts`), collections (`collections.ts`), the process (`process.ts`), each
 * task's cgroup (`tasks.ts`). `exposition.ts` is the text format.
 */
export interface MetricSource {
  /** The metrics as they are now. One source that fails doesn't take the others' with it. */
  collect(): Iterable<Metric> | Promise<Iterable<Metric>>;
}
