/**
 * How long a shim waits for more work before it rests.
 *
 * An answer takes back a fifth of what a rest has given, and a rest takes as much of the processor as a hundred answers: whoever asks now and
 * then is followed by a rest each time, whoever asks every few seconds soon by none.
 */

/** The wait before the first rest, in milliseconds; it doubles each time that a rest was soon disturbed. */
const shortestMs = 1000;
const longestMs = 64_000;
/** A rest that lasts so many times the wait before it was worth it. */
const worth = 16;

/** Works with a clock in milliseconds that its caller reads. */
export class RestPace {
  #wait = shortestMs;
  /** When the rest began that nothing has disturbed yet. */
  #restedAt: number | undefined;

  /** There was work. @returns after how many milliseconds without any more to rest */
  work(now: number): number {
    if (this.#restedAt !== undefined) {
      const wasWorth = now - this.#restedAt >= this.#wait * worth;
      this.#wait = wasWorth ? shortestMs : Math.min(this.#wait * 2, longestMs);
      this.#restedAt = undefined;
    }
    return this.#wait;
  }

  /** It rests now. */
  rest(now: number): void {
    this.#restedAt = now;
  }
}
