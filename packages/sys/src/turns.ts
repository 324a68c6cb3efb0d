import { setImmediate } from "node:timers/promises";

/**
 * Lets those who come together begin one after the other, each in a turn of the event loop of its own, so that what else waits has its turn
 * between them: `await turns.take()` before what takes a millisecond or two. Who comes alone doesn't wait.
 */
export class Turns {
  #last: Promise<void> | undefined;

  /** Resolves when it is the caller's turn. */
  async take(): Promise<void> {
    const before = this.#last;
    const over = endOfTurn(before);
    this.#last = over;
    void over.then(() => {
      if (this.#last === over) this.#last = undefined;
    });
    await before;
  }
}

async function endOfTurn(before: Promise<void> | undefined): Promise<void> {
  await before;
  await setImmediate();
}
