/** Lets so many pieces of work go on at once, and so many wait. */
export class Queue {
  readonly #running: number;
  readonly #waiting: number;
  readonly #waiters: (() => void)[] = [];
  #active = 0;

  constructor({ running, waiting }: { running: number; waiting: number }) {
    this.#running = running;
    this.#waiting = waiting;
  }

  get isFull(): boolean {
    return this.#active >= this.#running && this.#waiters.length >= this.#waiting;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#active >= this.#running) await new Promise<void>((resolve) => this.#waiters.push(resolve));
    else this.#active++;
    try {
      return await work();
    } finally {
      // Whoever waits takes this place over.
      const next = this.#waiters.shift();
      if (next === undefined) this.#active--;
      else next();
    }
  }
}
