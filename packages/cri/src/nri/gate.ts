/**
 * Many may pass at a time, or one who wants nobody else there. Who waits to be alone holds up those that come later, so that it gets its
 * turn; whoever passes must not ask to pass again within.
 */
export class Gate {
  #passing = 0;
  /** How many wait to be alone, or are. */
  #wanting = 0;
  /** Resolves when the last of them is done. */
  #alone: Promise<void> = Promise.resolve();
  #emptied: (() => void) | undefined;

  async shared<T>(work: () => Promise<T>): Promise<T> {
    while (this.#wanting > 0) await this.#alone;
    this.#passing++;
    try {
      return await work();
    } finally {
      if (--this.#passing === 0) this.#emptied?.();
    }
  }

  async exclusive<T>(work: () => Promise<T>): Promise<T> {
    this.#wanting++;
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
      this.#wanting--;
      done.resolve();
    }
  }
}
