import { isErrno } from "@hull/sys/errno";
import { read } from "@hull/sys/fd";
import { Pace } from "@hull/sys/pace";
import type { WaitOptions } from "@hull/sys/watch";
import { leaveBehind, onRest, restWhenIdle } from "./idle.ts";

/** Takes output as it was read; the bytes are lent until it returns. A promise says when it wants more. */
export type Taker = (chunk: Buffer) => Promise<void> | undefined;

/** One for all outputs of the process, since what is read is taken at once: most containers write little, and seldom. */
let shared: Buffer | undefined;

/** What is worth tidying for once all is quiet. */
const restAfter = 64 * 1024;
let sinceRest = 0;

/** Reading leaves a few small objects for some KiB, whoever takes them. */
const overhead = 1 / 32;

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
    // Without a view of it for each where that can be.
    return count === undefined ? undefined : count === shared.length ? shared : shared.subarray(0, count);
  } catch (error) {
    // The end of a terminal.
    if (isErrno(error, "EIO")) return shared.subarray(0, 0);
    throw error;
  }
}

/** Reads a non-blocking descriptor to its end, no faster than it is taken. @throws SysError; canceled */
export async function pump(fd: number, take: Taker, options: WaitOptions): Promise<void> {
  const pace = new Pace(fd, "read", options);
  for (;;) {
    // The descriptor may have been closed, and be another's by now.
    options.signal?.throwIfAborted();
    const chunk = readLent(fd);
    if (chunk === undefined) {
      if (sinceRest >= restAfter) {
        sinceRest = 0;
        restWhenIdle();
      }
      await pace.wait();
      continue;
    }
    const { length } = chunk;
    if (length === 0) return;
    sinceRest += length;
    leaveBehind(length * overhead);
    const taken = take(chunk);
    if (taken !== undefined) await taken;
    const pause = pace.moved(length);
    if (pause !== undefined) await pause;
  }
}

// The next output takes it again.
onRest(() => {
  shared = undefined;
});
