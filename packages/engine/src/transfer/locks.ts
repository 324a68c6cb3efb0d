/** Locks by the thing they guard, and counted slots: both wait in the order of asking, and give up when the caller does. */

interface Waiter {
  wake: () => void;
}

/** At most `limit` holders at a time. */
export class Slots {
  #free: number;
  readonly #waiting: Waiter[] = [];

  constructor(limit: number) {
    this.#free = Math.max(1, limit);
  }

  /** True if nobody holds or waits for anything of `limit` slots. */
  idle(limit: number): boolean {
    return this.#free === limit && this.#waiting.length === 0;
  }

  /** Waits for a slot; disposing what is given gives it back. @throws the signal's reason if it aborts first */
  async acquire(signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#wait(signal);
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        const next = this.#waiting.shift();
        if (next === undefined) this.#free++;
        else next.wake();
      },
    };
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        wake: () => {
          signal.removeEventListener("abort", abort);
          resolve();
        },
      };
      const abort = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        reject(signal.reason);
      };
      signal.addEventListener("abort", abort, { once: true });
      this.#waiting.push(waiter);
    });
  }
}

/** One holder a key. */
export class KeyedLocks {
  readonly #locks = new Map<string, Slots>();

  /** @throws the signal's reason if it aborts first */
  async acquire(key: string, signal: AbortSignal): Promise<Disposable> {
    const lock = this.#locks.get(key) ?? new Slots(1);
    this.#locks.set(key, lock);
    const held = await lock.acquire(signal);
    return {
      [Symbol.dispose]: () => {
        held[Symbol.dispose]();
        if (lock.idle(1) && this.#locks.get(key) === lock) this.#locks.delete(key);
      },
    };
  }
}
