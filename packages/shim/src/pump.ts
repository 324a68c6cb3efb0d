import { isErrno } from "@hull/sys/errno";
import { read } from "@hull/sys/fd";
import { ready, type WaitOptions } from "@hull/sys/watch";

/** Takes output as it was read; the bytes are lent until it returns. A promise says when it wants more. */
export type Taker = (chunk: Buffer) => Promise<void> | undefined;

/** One for all outputs of the process, since what is read is taken at once: most containers write little, and seldom. */
let shared: Buffer | undefined;

/** So long an output that never runs dry may go on before everything else gets its turn, in milliseconds. */
const turn = 5;

/**
 * Reads what a non-blocking descriptor has now.
 *
 * @returns undefined if it has nothing yet; nothing (length 0) at its end. Valid until the next call, from whichever place.
 * @throws SysError
 */
export function readLent(fd: number): Buffer | undefined {
  shared ??= Buffer.allocUnsafeSlow(65536);
  try {
    const count = read(fd, shared);
    return count === undefined ? undefined : shared.subarray(0, count);
  } catch (error) {
    // The end of a terminal.
    if (isErrno(error, "EIO")) return shared.subarray(0, 0);
    throw error;
  }
}

/** Reads a non-blocking descriptor to its end, no faster than it is taken. @throws SysError; canceled */
export async function pump(fd: number, take: Taker, options: WaitOptions): Promise<void> {
  let since = performance.now();
  for (;;) {
    // The descriptor may have been closed, and be another's by now.
    options.signal?.throwIfAborted();
    const chunk = readLent(fd);
    if (chunk === undefined) {
      await ready(fd, "read", options);
      since = performance.now();
      continue;
    }
    if (chunk.length === 0) return;
    await take(chunk);
    if (performance.now() - since > turn) {
      await new Promise((resolve) => setImmediate(resolve));
      since = performance.now();
    }
  }
}

/** Lets go of the memory; the next output takes it again. */
export function releasePump(): void {
  shared = undefined;
}
