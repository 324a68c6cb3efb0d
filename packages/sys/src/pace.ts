/**
 * Waiting for a descriptor that moves bytes, at a bounded rate of events.
 *
 * One that moves a few KiB at a time would otherwise have an event for each: at some rate these cost more than the bytes. Such a one is looked
 * at once a millisecond, until it rests or moves much at once. Meanwhile its bytes are kept by the kernel: a pipe is given room for them.
 */

import { isatty } from "node:tty";
import { isErrno } from "./errno.ts";
import { pipeCapacity, setPipeCapacity } from "./fd.ts";
import { ready, type WaitOptions } from "./watch.ts";

/** So long one that never runs dry may go on before everything else in the process gets its turn, in milliseconds. */
const turn = 5;
/** When what was waited for brings less than this again, it is given a moment to bring more … */
const enough = 64 * 1024;
/** … if the wait was shorter than this, in milliseconds. */
const soon = 2;
/** What a pipe may hold then. Its memory is taken as bytes come. */
const capacity = 1024 * 1024;

/** See the top of this file. For one descriptor, non-blocking, which is read or written. */
export class Pace {
  readonly #fd: number;
  readonly #side: "read" | "write";
  readonly #options: WaitOptions;
  #woken = performance.now();
  #waited = 0;
  /** Bytes since then. */
  #moved = 0;
  /** Whether the kernel keeps enough; unknown until that matters. */
  #hasRoom: boolean | undefined;

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
    const isDense = this.#moved > 0 && this.#moved < enough && this.#waited < soon && before - this.#woken < soon;
    if (isDense && this.#giveRoom()) await moment(keepAlive);
    else await ready(this.#fd, this.#side, this.#options);
    // The descriptor may be closed by now, and its number another's.
    signal?.throwIfAborted();
    this.#woken = performance.now();
    this.#waited = this.#woken - before;
    this.#moved = 0;
  }

  #giveRoom(): boolean {
    this.#hasRoom ??= hasRoom(this.#fd);
    return this.#hasRoom;
  }
}

function moment(keepAlive: boolean): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, 1);
    if (!keepAlive) timer.unref();
  });
}

function hasRoom(fd: number): boolean {
  try {
    return pipeCapacity(fd) >= capacity || setPipeCapacity(fd, capacity) >= capacity;
  } catch (error) {
    // No pipe. A socket has room; a terminal has 4 KiB.
    if (isErrno(error, "EBADF")) return !isatty(fd);
    // The user's share of memory for pipes is used up.
    if (isErrno(error, "EPERM")) return false;
    throw error;
  }
}
