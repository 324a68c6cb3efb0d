/** A client's connection, whatever is spoken on it. */

import { canceled } from "@hull/errors";
import type { ByteLink } from "@hull/link";
import type { Flow } from "./inbox.ts";

/** So long a client has to close a connection that is over, before it is closed here. */
const lingerMs = 2000;

/** What SPDY needs of whatever carries its bytes. */
export interface Carrier extends Flow {
  /** Aborted when the connection has ended. */
  readonly lost: AbortSignal;
  /** Sends bytes that are the carrier's from then on. A client that doesn't take them isn't read from until it does. */
  write(bytes: Uint8Array): void;
  /**
   * Sends `buffer[from … to)`, lent until the result resolves; at once without one. What is left of the `headRoom` before them may be
   * written to.
   *
   * @throws Canceled if the client has gone
   */
  lend(buffer: Uint8Array, from: number, to: number): Promise<void> | undefined;
  /** All has been said: waits for the client to close, since closing while it still sends could cost it what was said last. */
  finish(): void;
  /** Closes at once. */
  destroy(): void;
}

/**
 * A connection of bytes with an idle time-out, which stops reading while any stream on it has too much.
 *
 *   receive(first) ──► start ──► receive(next protocol) ──► finish (client closes) | destroy ──► lost
 */
export class Wire implements Carrier {
  readonly #link: ByteLink;
  readonly #lost = new AbortController();
  readonly #holders = new Set<object>();
  #receiver: (chunk: Uint8Array) => void = () => {};
  #idleMs = 0;
  #lastUse = 0;
  #idleTimer: ReturnType<typeof setTimeout> | undefined;
  #lingerTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(link: ByteLink) {
    this.#link = link;
  }

  /** Begins to read. Called once, when there is a receiver. */
  start(): void {
    this.#link.start({
      data: (chunk) => {
        this.#lastUse = performance.now();
        try {
          this.#receiver(chunk);
        } catch {
          // Whatever a client sends, it is only its own connection that can suffer.
          this.destroy();
        }
      },
      closed: () => {
        clearTimeout(this.#idleTimer);
        clearTimeout(this.#lingerTimer);
        this.#lost.abort(canceled("the client has gone"));
      },
    });
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Who takes what comes from here on. */
  receive(receiver: (chunk: Uint8Array) => void): void {
    this.#receiver = receiver;
  }

  /** Gives the receiver what had come before it was there. */
  feed(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#receiver(bytes);
  }

  /** Ends the connection after so long without a byte either way; 0: never. */
  endWhenIdle(milliseconds: number): void {
    this.#idleMs = milliseconds;
    this.#lastUse = performance.now();
    this.#watchIdle();
  }

  #watchIdle(): void {
    clearTimeout(this.#idleTimer);
    if (this.#idleMs <= 0 || this.lost.aborted) return;
    // Looked at once a period at most: a timer for every byte would cost more than the bytes.
    const left = this.#idleMs - (performance.now() - this.#lastUse);
    if (left <= 0) this.destroy();
    else this.#idleTimer = setTimeout(() => this.#watchIdle(), Math.min(left + 1, 2 ** 31 - 1));
  }

  write(bytes: Uint8Array): void {
    this.#lastUse = performance.now();
    if (this.lost.aborted || this.#link.write(bytes)) return;
    this.hold(this.#link);
    void this.#link.drained().then(() => this.release(this.#link));
  }

  lend(buffer: Uint8Array, from: number, to: number): Promise<void> | undefined {
    this.lost.throwIfAborted();
    this.#lastUse = performance.now();
    return this.#link.writeLent(buffer.subarray(from, to)) ? undefined : this.#link.drained();
  }

  hold(who: object): void {
    if (this.#holders.size === 0) this.#link.pause();
    this.#holders.add(who);
  }

  release(who: object): void {
    if (this.#holders.delete(who) && this.#holders.size === 0) this.#link.resume();
  }

  /** What the client sends until it closes is dropped, unless there is a `receiver`. */
  finish(receiver: (chunk: Uint8Array) => void = () => {}): void {
    if (this.lost.aborted) return;
    this.#receiver = receiver;
    if (this.#holders.size > 0) this.#link.resume();
    this.#holders.clear();
    void this.#link.drained().then(() => {
      if (!this.lost.aborted) this.#lingerTimer = setTimeout(() => this.#link.close(), lingerMs);
    });
  }

  /** Closes when what was written has gone. */
  close(): void {
    this.#receiver = () => {};
    this.#link.close();
  }

  destroy(): void {
    this.#link.destroy();
  }
}
