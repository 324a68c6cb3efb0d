/** Figures of one kind of work on both daemons. Smaller is better for `ms` and `MiB`, larger for rates. */
export interface Sample {
  /** What was done, in a few words. */
  name: string;
  unit: "ms" | "MiB" | "MiB/s" | "per s";
  hull: number[];
  containerd: number[];
  /** True if figures of the same place belong to the same round, one taken right after the other. */
  paired?: boolean;
  /** The ratio hull / containerd that the project aims at, in the direction of the unit; undefined where none is set. */
  target?: number;
}

/** The middle of some figures; of two middles their mean. */
export function median(figures: readonly number[]): number {
  const sorted = [...figures].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/** The figure that so much of them (of 1) is at most: 0.95 for the 95th percentile. */
export function quantile(figures: readonly number[], part: number): number {
  const sorted = [...figures].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? Number.NaN;
}

/**
 * What hull needs of what containerd needs. Where every round did one after the other, the median of the rounds' ratios: what else the machine
 * did then, it did to both. Else hull's median over containerd's.
 */
export function ratio({ hull, containerd, paired }: Sample): number {
  if (paired !== true) return median(hull) / median(containerd);
  return median(hull.map((figure, round) => figure / (containerd[round] ?? Number.NaN)));
}

/** True for units of which less is better. */
export const lessIsBetter = (unit: Sample["unit"]): boolean => unit === "ms" || unit === "MiB";

/** Whether the sample meets its target; undefined if it has none. */
export function met(sample: Sample): boolean | undefined {
  if (sample.target === undefined) return undefined;
  return lessIsBetter(sample.unit) ? ratio(sample) <= sample.target : ratio(sample) >= sample.target;
}

/** Milliseconds that some work takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** The milliseconds of all together, and of each. */
export interface Abreast {
  readonly ms: number;
  readonly latencies: readonly number[];
}

/** Does a work `count` times, several at a time; it gets numbers from `first` on. */
export async function abreast(
  work: (number: number) => Promise<unknown>,
  { count, first, workers }: { readonly count: number; readonly first: number; readonly workers: number },
): Promise<Abreast> {
  const latencies: number[] = [];
  let begun = 0;
  const worker = async () => {
    while (begun < count) {
      const number = first + begun++;
      latencies.push(await timed(() => work(number)));
    }
  };
  const ms = await timed(() => Promise.all(Array.from({ length: workers }, worker)));
  return { ms, latencies };
}
