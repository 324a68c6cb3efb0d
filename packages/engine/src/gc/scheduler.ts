/** When to collect: containerd's keys of `io.containerd.gc.v1.scheduler`, times in ms. */
export interface SchedulerOptions {
  /** Largest share of time that collecting may take, up to 0.5; 0 for no limit. */
  pauseThreshold: number;
  /** So many deletions ask for a run at once, `scheduleDelay` later; 0: none do. */
  deletionThreshold: number;
  /** With so many changes and no deletion the next run isn't left out; 0: changes alone never count. */
  mutationThreshold: number;
  scheduleDelay: number;
  /** The first run is so long after the start. */
  startupDelay: number;
}

export const schedulerDefaults: SchedulerOptions = {
  pauseThreshold: 0.02,
  deletionThreshold: 0,
  mutationThreshold: 100,
  scheduleDelay: 0,
  startupDelay: 100,
};

/** The pace before it is known how long a run takes, in ms. */
const firstInterval = 1000;

/** The least time between two runs where their share of time is limited, ms: one run serves many deletions as well as one. */
const leastInterval = 250;

/** Runs something after changes, rarely enough. Nothing is timed while there is nothing to do. */
export class CollectionScheduler {
  #options: SchedulerOptions;
  readonly #run: () => Promise<number>;
  #deletions = 0;
  #mutations = 0;
  #timer: { handle: NodeJS.Timeout; due: number } | undefined;
  /** The earliest time of the next run (as of `performance.now()`), unless deletions hurry it. */
  #notBefore = 0;
  #closed = false;
  #isRunning = false;

  /** `run` collects and gives the ms that it was busy. */
  constructor(options: Partial<SchedulerOptions>, run: () => Promise<number>) {
    this.#options = { ...schedulerDefaults, ...options };
    this.#run = run;
    this.#schedule(this.#options.startupDelay);
  }

  changed(kind: "deletion" | "mutation"): void {
    if (kind === "deletion") this.#deletions++;
    this.#mutations++;
    this.#plan();
  }

  /** Tells that a run begins, whoever asked for it: what was told so far is in it. */
  began(): void {
    this.#deletions = 0;
    this.#mutations = 0;
  }

  /** Goes by other rules from the next change or run on. */
  reconfigure(options: SchedulerOptions): void {
    this.#options = options;
    this.#plan();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer?.handle);
    this.#timer = undefined;
  }

  #plan(): void {
    if (this.#isRunning) return;
    const { deletionThreshold, mutationThreshold, scheduleDelay } = this.#options;
    if (deletionThreshold > 0 && this.#deletions >= deletionThreshold) this.#schedule(scheduleDelay);
    else if (this.#deletions > 0 || (mutationThreshold > 0 && this.#mutations >= mutationThreshold)) {
      this.#schedule(Math.max(scheduleDelay, this.#notBefore - performance.now()));
    }
  }

  #schedule(delay: number): void {
    const due = performance.now() + delay;
    if (this.#closed || (this.#timer !== undefined && this.#timer.due <= due)) return;
    clearTimeout(this.#timer?.handle);
    const handle = setTimeout(() => void this.#runNow(), delay);
    // A collection that is due keeps no process alive.
    handle.unref();
    this.#timer = { handle, due };
  }

  async #runNow(): Promise<void> {
    this.#timer = undefined;
    this.#isRunning = true;
    const busy = await this.#run();
    this.#isRunning = false;
    const share = Math.min(this.#options.pauseThreshold, 0.5);
    const interval = busy === 0 ? firstInterval : share > 0 ? Math.max(leastInterval, busy / share - busy) : 0;
    this.#notBefore = performance.now() + interval;
    this.#plan();
  }
}
