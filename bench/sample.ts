/** Figures of one kind of work on both daemons. Smaller is better for `ms` and `MiB`, larger for rates. */
export interface Sample {
  /** What was done, in a few words. */
  name: string;
  unit: "ms" | "MiB" | "MiB/s" | "per s";
  hull: number[];
  containerd: number[];
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

/** hull's median over containerd's. */
export const ratio = (sample: Sample): number => median(sample.hull) / median(sample.containerd);

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
