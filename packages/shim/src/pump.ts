import { isErrno } from "@hull/sys/errno";
import { read } from "@hull/sys/fd";
import { Pace } from "@hull/sys/pace";
import type { WaitOptions } from "@hull/sys/watch";
import { onRest, restWhenIdle } from "./idle.ts";

/** Takes output as it was read; the bytes are lent until it returns. A promise says when it wants more. */
export type Taker = (chunk: Buffer) => Promise<void> | undefined;

/** One for all outputs of the process, since what is read is taken at once: most containers write little, and seldom. */
let shared: Buffer | undefined;

/** After so many bytes the engine's memory is tidied, which would else let tens of megabytes pile up before it does. */
const tidyAfter = 4 * 1024 * 1024;
/** What is worth tidying for once all is quiet. */
const restAfter = 64 * 1024;

let sinceTidy = 0;
let sinceRest = 0;

/** Output leaves strings and buffers behind, several times as much as it is itself. */
function tidy(bytes: number): void {
  sinceTidy += bytes;
  sinceRest += bytes;
  if (sinceTidy < tidyAfter) return;
  sinceTidy = 0;
  Bun.gc(true);
}

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
    tidy(length);
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
