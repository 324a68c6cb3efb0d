/** Any pollable descriptor as a stream of bytes: pipes, FIFOs, sockets, terminals, inotify. */

import { isErrno } from "./errno.ts";
import { move, read, write } from "./fd.ts";
import { Pace } from "./pace.ts";
import type { WaitOptions } from "./watch.ts";
import { ready } from "./watch.ts";

/** How to read a stream. */
export interface StreamOptions extends WaitOptions {
  /** The most that one chunk holds, in bytes. */
  readonly chunkSize?: number;
}

/** So long a source that never runs dry may go on before everything else in the process gets its turn. */
const turn = 5;

/**
 * Reads a non-blocking descriptor to its end. A chunk is read when it is asked for, so a slow reader holds the writer
 * back; the descriptor stays open, and the caller's. The end of a terminal (EIO, when no program has it open) is an end.
 *
 * @throws SysError; canceled.
 */
export async function* readStream(fd: number, options: StreamOptions = {}): AsyncGenerator<Uint8Array, void> {
  const buffer = new Uint8Array(options.chunkSize ?? 65536);
  let since = performance.now();
  for (;;) {
    const count = readSome(fd, buffer);
    if (count === 0) return;
    if (count === undefined) await ready(fd, "read", options);
    else yield buffer.slice(0, count);
    if (count === undefined || performance.now() - since > turn) {
      if (count !== undefined) await new Promise((resolve) => setImmediate(resolve));
      since = performance.now();
    }
  }
}

function readSome(fd: number, buffer: Uint8Array): number | undefined {
  try {
    return read(fd, buffer);
  } catch (error) {
    if (isErrno(error, "EIO")) return 0;
    throw error;
  }
}

/** The lines of a text as they come, without the newlines. */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of chunks) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n")) {
      const line = text.slice(0, end);
      text = text.slice(end + 1);
      yield line;
    }
  }
}

/** Writes all of `bytes` to a non-blocking descriptor, waiting while it takes none. @throws SysError (EPIPE); canceled. */
export async function writeAll(fd: number, bytes: Uint8Array, options: WaitOptions = {}): Promise<void> {
  let rest = bytes;
  while (rest.length > 0) {
    const count = write(fd, rest);
    if (count === undefined) await ready(fd, "write", options);
    else rest = rest.subarray(count);
  }
}

/**
 * Copies one descriptor into another until the first ends. A reader at the other end who went away (EPIPE) ends the copy
 * too; the source is left as it is then.
 *
 * @returns the bytes copied.
 */
export async function copyStream(from: number, to: number, options: StreamOptions = {}): Promise<number> {
  let copied = 0;
  try {
    for await (const chunk of readStream(from, options)) {
      await writeAll(to, chunk, options);
      copied += chunk.length;
    }
  } catch (error) {
    if (!isErrno(error, "EPIPE")) throw error;
  }
  return copied;
}

/** So much is moved by one call at most. */
const moveSize = 1024 * 1024;

/**
 * Moves what comes from a pipe or FIFO to its end into another descriptor, inside the kernel where that can take it so. Both are non-blocking.
 *
 * @throws SysError (EPIPE); canceled.
 */
export async function moveAll(from: number, to: number, options: WaitOptions = {}): Promise<void> {
  const [reading, writing] = [new Pace(from, "read", options), new Pace(to, "write", options)];
  // Which of both isn't ready, the kernel doesn't tell: it is the one that was waited for last, unless that was in vain.
  let waiting = reading;
  let inVain = false;
  for (;;) {
    options.signal?.throwIfAborted();
    let count: number | undefined;
    try {
      count = move("splice", from, to, moveSize);
    } catch (error) {
      if (!isErrno(error, "EINVAL")) throw error;
      // No pipe, and nothing that takes a pipe's pages.
      await copyStream(from, to, options);
      return;
    }
    if (count === 0) return;
    if (count === undefined) {
      if (inVain) waiting = waiting === reading ? writing : reading;
      await waiting.wait();
      inVain = true;
      continue;
    }
    inVain = false;
    reading.moved(count);
    const pause = writing.moved(count);
    if (pause !== undefined) await pause;
  }
}
