/** Bytes between descriptors (FIFOs, sockets) and clients, without a copy in between. */

import { isErrno } from "@hull/sys/errno";
import { read, write } from "@hull/sys/fd";
import { ready } from "@hull/sys/watch";
import { headRoom, type Input, type Output } from "./streams.ts";

const smallest = 16 * 1024;
const largest = 256 * 1024;
/** So long a source that never runs dry may go on before everything else in the process gets its turn, in milliseconds. */
const turn = 5;

/** Who takes what is read: `buffer[from … to)`, lent until the result resolves. */
type Taker = (buffer: Uint8Array, from: number, to: number) => Promise<void> | undefined;

/** When what was waited for brings less than this again, it is given a moment to bring more … */
const enough = 64 * 1024;
/** … if the wait was shorter than this, in milliseconds. */
const soon = 2;

/**
 * Waits for a descriptor, at a bounded rate. One that moves a few KiB at a time would otherwise have an event for each: at some rate these
 * cost more than the bytes. Such a one is looked at once a millisecond, until it rests or moves much at once.
 */
class Waiting {
  readonly #fd: number;
  readonly #side: "read" | "write";
  readonly #signal: AbortSignal;
  #woken = performance.now();
  #waited = 0;
  /** Bytes since then. */
  #moved = 0;

  constructor(fd: number, side: "read" | "write", signal: AbortSignal) {
    this.#fd = fd;
    this.#side = side;
    this.#signal = signal;
  }

  /** So much could be moved. Gives everything else its turn when this has gone on for long. */
  moved(count: number): Promise<void> | undefined {
    this.#moved += count;
    if (performance.now() - this.#woken <= turn) return undefined;
    this.#woken = performance.now();
    return new Promise((resolve) => setImmediate(resolve));
  }

  /** Nothing can be moved now. @throws Canceled */
  async wait(): Promise<void> {
    const before = performance.now();
    const isDense = this.#moved > 0 && this.#moved < enough && this.#waited < soon && before - this.#woken < soon;
    if (isDense) await new Promise((resolve) => setTimeout(resolve, 1));
    else await ready(this.#fd, this.#side, { signal: this.#signal });
    // The descriptor may be closed by now, and its number another's.
    this.#signal.throwIfAborted();
    this.#woken = performance.now();
    this.#waited = this.#woken - before;
    this.#moved = 0;
  }
}

/**
 * Reads a non-blocking descriptor to its end. What is read is lent to the taker, who holds the reading back.
 *
 * @throws SysError; Canceled; what `take` throws
 */
export async function readInto(fd: number, take: Taker, signal: AbortSignal): Promise<void> {
  const waiting = new Waiting(fd, "read", signal);
  let buffer = new Uint8Array(headRoom + smallest);
  for (;;) {
    const count = readSome(fd, buffer.subarray(headRoom));
    if (count === 0) return;
    if (count === undefined) {
      await waiting.wait();
      continue;
    }
    const taken = take(buffer, headRoom, headRoom + count);
    if (taken !== undefined) await taken;
    const pause = waiting.moved(count);
    if (pause !== undefined) await pause;
    signal.throwIfAborted();
    // Most streams are a few lines; one that fills its buffer gets a larger one.
    if (count === buffer.length - headRoom && count < largest) buffer = new Uint8Array(headRoom + 4 * count);
  }
}

function readSome(fd: number, buffer: Uint8Array): number | undefined {
  try {
    return read(fd, buffer);
  } catch (error) {
    // A socket that the other side reset has nothing more.
    if (isErrno(error, "ECONNRESET")) return 0;
    throw error;
  }
}

/** Copies a descriptor to a client, and tells the client of its end. Ends early when the client has gone. */
export async function copyOut(fd: number, output: Output, signal: AbortSignal): Promise<void> {
  await readInto(fd, (buffer, from, to) => output.send(buffer, from, to), signal);
  output.end();
}

/** Copies what a client sends to a non-blocking descriptor, until either has ended. */
export async function copyIn(input: Input, fd: number, signal: AbortSignal): Promise<void> {
  const waiting = new Waiting(fd, "write", signal);
  try {
    for await (const chunk of input) {
      signal.throwIfAborted();
      for (let at = 0; at < chunk.length; ) {
        const count = write(fd, chunk.subarray(at));
        at += count ?? 0;
        const pause = count === undefined ? waiting.wait() : waiting.moved(count);
        if (pause !== undefined) await pause;
        signal.throwIfAborted();
      }
    }
  } catch (error) {
    if (!isErrno(error, "EPIPE", "ECONNRESET")) throw error;
  }
}
