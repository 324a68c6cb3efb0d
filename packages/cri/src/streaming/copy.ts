/** Bytes between descriptors (FIFOs, sockets) and clients, without a copy in between. */

import { isErrno } from "@hull/sys/errno";
import { read } from "@hull/sys/fd";
import { writeAll } from "@hull/sys/stream";
import { ready } from "@hull/sys/watch";
import { headRoom, type Input, type Output } from "./streams.ts";

const smallest = 16 * 1024;
const largest = 256 * 1024;
/** So long a source that never runs dry may go on before everything else in the process gets its turn, in milliseconds. */
const turn = 5;

/** Who takes what is read: `buffer[from … to)`, lent until the result resolves. */
type Taker = (buffer: Uint8Array, from: number, to: number) => Promise<void> | undefined;

/** When a source that has just been waited for gives less than this again, it is given a moment to collect more … */
const enough = 64 * 1024;
/** … if the wait was shorter than this, in milliseconds. */
const soon = 2;

/**
 * Reads a non-blocking descriptor to its end. What is read is lent to the taker, who holds the reading back.
 *
 * A writer of many small pieces would otherwise have each of them carried alone, at the price of an event: at some rate the events cost more
 * than the bytes. Such a source is looked at once a millisecond, until it rests or gives much at once.
 *
 * @throws SysError; Canceled; what `take` throws
 */
export async function readInto(fd: number, take: Taker, signal: AbortSignal): Promise<void> {
  let buffer = new Uint8Array(headRoom + smallest);
  let woken = performance.now();
  /** Since it was waited for. */
  let burst = 0;
  let waited = 0;
  for (;;) {
    const count = readSome(fd, buffer.subarray(headRoom));
    if (count === 0) return;
    if (count === undefined) {
      const before = performance.now();
      const dense = burst > 0 && burst < enough && waited < soon && before - woken < soon;
      if (dense) await new Promise((resolve) => setTimeout(resolve, 1));
      else await ready(fd, "read", { signal });
      signal.throwIfAborted();
      woken = performance.now();
      waited = woken - before;
      burst = 0;
      continue;
    }
    burst += count;
    const taken = take(buffer, headRoom, headRoom + count);
    if (taken !== undefined) await taken;
    signal.throwIfAborted();
    // Most streams are a few lines; one that fills its buffer gets a larger one.
    if (count === buffer.length - headRoom && count < largest) buffer = new Uint8Array(headRoom + 4 * count);
    if (performance.now() - woken > turn) {
      await new Promise((resolve) => setImmediate(resolve));
      woken = performance.now();
    }
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
  try {
    for await (const chunk of input) {
      // The descriptor is closed by now, and its number perhaps another's.
      signal.throwIfAborted();
      await writeAll(fd, chunk, { signal });
    }
  } catch (error) {
    if (!isErrno(error, "EPIPE", "ECONNRESET")) throw error;
  }
}
