import { setImmediate } from "node:timers/promises";

/** ms of work before others get their turn. */
const stepMs = 4;

/** How long work took. */
export interface Effort {
  busyMs: number;
  pauseMs: number;
}

/** Runs work that pauses at each `yield` to its end, giving the event loop its turn whenever 4 ms are used up; adds to `effort`. */
export async function runInSteps<T>(work: Generator<void, T, void>, effort: Effort): Promise<T> {
  for (;;) {
    const start = performance.now();
    let result = work.next();
    while (!result.done && performance.now() - start < stepMs) result = work.next();
    const took = performance.now() - start;
    effort.busyMs += took;
    effort.pauseMs = Math.max(effort.pauseMs, took);
    if (result.done) return result.value;
    await setImmediate();
  }
}
