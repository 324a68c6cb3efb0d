import type { Nanoseconds } from "@hull/engine/labels";

/** Processor time of one container or pod at one time. */
interface Sample {
  readonly at: Nanoseconds;
  readonly cpuNs: bigint;
}

/** A sample, and the rate that the time up to it had. */
interface Known {
  last: Sample;
  /** Nanoseconds of processor time a second. */
  rate: bigint | undefined;
}

const second = 1_000_000_000n;

export interface RateOptions {
  /** ns that two samples lie apart, about: `stats_collect_period`. A rate of less time is mostly noise. */
  readonly period: Nanoseconds;
  /** ns for which a sample is good: `stats_retention_period`. The mean of a longer time is no rate of now. */
  readonly retention: Nanoseconds;
}

/**
 * How fast processor time is used, from the samples that calls bring: nothing runs between them, so that nobody pays who doesn't ask. Who
 * asks every ten seconds, as the kubelet does, gets the mean of those ten seconds; who asks for the first time gets the mean since the
 * start, if that is less than the retention ago, else nothing; who asks again within half the period gets the same rate again.
 */
export class Rates {
  readonly #known = new Map<string, Known>();
  readonly #options: RateOptions;

  constructor(options: RateOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#known.size;
  }

  /** The rate in nanoseconds of processor time a second; undefined while there is none. @param startedAt 0 for one without a start */
  take(id: string, at: Nanoseconds, cpuNs: bigint, startedAt: Nanoseconds): bigint | undefined {
    const known = this.#known.get(id);
    // A count that went back is another container's, or the same one's after a restore.
    const base = known === undefined || cpuNs < known.last.cpuNs ? { at: startedAt, cpuNs: 0n } : known.last;
    const elapsed = at - base.at;
    const isSoon = elapsed < this.#options.period / 2n;
    if (base === known?.last && isSoon) return known.rate;
    // The runtime has used some before the start: much of a short time, little of a longer one.
    const good = base.at !== 0n && !isSoon && elapsed <= this.#options.retention;
    const rate = good ? ((cpuNs - base.cpuNs) * second) / elapsed : undefined;
    this.#known.set(id, { last: { at, cpuNs }, rate });
    return rate;
  }

  /** Forgets all but these. */
  keep(ids: { has(id: string): boolean }): void {
    for (const id of this.#known.keys()) if (!ids.has(id)) this.#known.delete(id);
  }
}
