/** Bytes between descriptors (FIFOs, sockets) and clients, without a copy in between. */

import { isErrno } from "@hull/sys/errno";
import { read, write } from "@hull/sys/fd";
import { Pace } from "@hull/sys/pace";
import { headRoom, type Input, type Output } from "./streams.ts";

const smallest = 16 * 1024;
const largest = 256 * 1024;

/** Who takes what is read: `buffer[from … to)`, lent until the result resolves. */
type Taker = (buffer: Uint8Array, from: number, to: number) => Promise<void> | undefined;

/**
 * Reads a non-blocking descriptor to its end. What is read is lent to the taker, who holds the reading back.
 *
 * @throws SysError; Canceled; what `take` throws
 */
export async function readInto(fd: number, take: Taker, signal: AbortSignal): Promise<void> {
  const pace = new Pace(fd, "read", { signal });
  let buffer = new Uint8Array(headRoom + smallest);
  for (;;) {
    const count = readSome(fd, buffer.subarray(headRoom));
    if (count === 0) return;
    if (count === undefined) {
      await pace.wait();
      continue;
    }
    const taken = take(buffer, headRoom, headRoom + count);
    if (taken !== undefined) await taken;
    const pause = pace.moved(count);
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
  const pace = new Pace(fd, "write", { signal });
  try {
    for await (const chunk of input) {
      signal.throwIfAborted();
      for (let at = 0; at < chunk.length; ) {
        const count = write(fd, chunk.subarray(at));
        at += count ?? 0;
        const pause = count === undefined ? pace.wait() : pace.moved(count);
        if (pause !== undefined) await pause;
        signal.throwIfAborted();
      }
    }
  } catch (error) {
    if (!isErrno(error, "EPIPE", "ECONNRESET")) throw error;
  }
}
