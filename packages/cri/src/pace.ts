import { setImmediate } from "node:timers/promises";

/** ms of work before others get their turn. */
const stepMs = 4;

/** Keeps long work from holding up the rest: `if (pace.due) await pace.rest()` between two of its steps. */
export class Pace {
  #began = performance.now();

  get due(): boolean {
    return performance.now() - this.#began > stepMs;
  }

  async rest(): Promise<void> {
    await setImmediate();
    this.#began = performance.now();
  }
}
