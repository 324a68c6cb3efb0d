/**
 * Waiting for a descriptor that moves bytes, at a bounded rate of events.
 *
 * One that moves a few KiB at a time would otherwise have an event for each: at some rate these cost more than the bytes. Such a one is looked
 * at once in some milliseconds, until it rests or moves much at once. Meanwhile its bytes are kept by the kernel: a pipe is given room for them.
 */

import { isatty } from "node:tty";
import { isErrno } from "./errno.ts";
import { pipeCapacity, setPipeCapacity } from "./fd.ts";
import { ready, type WaitOptions } from "./watch.ts";

/** So long one that never runs dry may go on before everything else in the process gets its turn, in milliseconds. */
const turn = 5;
/** One that was waited for no longer than this may bring more in a moment. In milliseconds. */
const soon = 2;
/** What a pipe may hold then. Its memory is taken as bytes come. */
const capacity = 1024 * 1024;
/** For a socket, whose room isn't ours to say, a moment's wait is worth it up to so much. */
const socketBurst = 64 * 1024;
/** The longest moment, in milliseconds: a stream of 64 MB/s needs a quarter of a pipe's room for it. */
const longest = 4;
/** What a moment is to bring … */
const worth = 128 * 1024;
/** … unless it brings so little that somebody may be waiting for an answer to each piece. */
const small = 16 * 1024;

/** See the top of this file. For one descriptor, non-blocking, which is read or written. */
export class Pace {
  readonly #fd: number;
  readonly #side: "read" | "write";
  readonly #options: WaitOptions;
  #woken = performance.now();
  #waited = 0;
  /** Bytes since then. */
  #moved = 0;
  /** How long the next moment is, in milliseconds. */
  #moment = 1;
  /** Most bytes after which a moment is worth waiting for; unknown until that matters. */
  #most: number | undefined;

  constructor(fd: number, side: "read" | "write", options: WaitOptions) {
    this.#fd = fd;
    this.#side = side;
    this.#options = options;
  }

  /** So much could be moved. Gives everything else its turn when this has gone on for long. */
  moved(count: number): Promise<void> | undefined {
    this.#moved += count;
    if (performance.now() - this.#woken <= turn) return undefined;
    this.#woken = performance.now();
    return new Promise((resolve) => setImmediate(resolve));
  }

  /** Nothing can be moved now. @throws SysError; canceled, and then the descriptor may be closed already */
  async wait(): Promise<void> {
    const { signal, keepAlive = true } = this.#options;
    const before = performance.now();
    const isFast = this.#moved > 0 && this.#waited < soon + this.#moment && before - this.#woken < soon;
    if (isFast && this.#moved < this.#mostWorth()) await this.#waitAMoment(keepAlive);
    else await ready(this.#fd, this.#side, this.#options);
    // The descriptor may be closed by now, and its number another's.
    signal?.throwIfAborted();
    this.#woken = performance.now();
    this.#waited = this.#woken - before;
    this.#moved = 0;
  }

  #mostWorth(): number {
    this.#most ??= mostWorth(this.#fd);
    return this.#most;
  }

  #waitAMoment(keepAlive: boolean): Promise<void> {
    if (this.#moved < small || this.#most !== capacity / 2) this.#moment = 1;
    else if (this.#moved < worth) this.#moment = Math.min(2 * this.#moment, longest);
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#moment);
      if (!keepAlive) timer.unref();
    });
  }
}

function mostWorth(fd: number): number {
  try {
    return pipeCapacity(fd) >= capacity || setPipeCapacity(fd, capacity) >= capacity ? capacity / 2 : 0;
  } catch (error) {
    // No pipe. A terminal has 4 KiB.
    if (isErrno(error, "EBADF")) return isatty(fd) ? 0 : socketBurst;
    // The user's share of memory for pipes is used up.
    if (isErrno(error, "EPERM")) return 0;
    throw error;
  }
}
