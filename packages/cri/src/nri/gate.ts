/**
 * Many may pass at a time, or one who wants nobody else there. Who waits to be alone holds up those that come later, so that it gets its
 * turn; whoever passes must not ask to pass again within.
 */
export class Gate {
  #passing = 0;
  /** Ends of those who wait to be alone, or are. */
  #alone: Promise<void> = Promise.resolve();
  #emptied: (() => void) | undefined;

  async shared<T>(work: () => Promise<T>): Promise<T> {
    for (let seen: Promise<void> | undefined; seen !== this.#alone; ) {
      seen = this.#alone;
      await seen;
    }
    this.#passing++;
    try {
      return await work();
    } finally {
      if (--this.#passing === 0) this.#emptied?.();
    }
  }

  async exclusive<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#alone;
    const done = Promise.withResolvers<void>();
    this.#alone = before.then(() => done.promise);
    await before;
    try {
      if (this.#passing > 0) {
        await new Promise<void>((resolve) => {
          this.#emptied = resolve;
        });
        this.#emptied = undefined;
      }
      return await work();
    } finally {
      done.resolve();
    }
  }
}
