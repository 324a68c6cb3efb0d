/** Pipes that a process has open, for others to open as well. */

import { fstatSync } from "node:fs";
import { Descriptor, open, openFlags } from "./fd.ts";

/** Where others find a pipe of a process of the same pid namespace, as long as that has it open. */
export interface PipePlace {
  readonly path: string;
  /** What has to be found there: the process may be another's by then. */
  readonly inode: bigint;
}

/** Where others find the pipe or FIFO that this process has open; undefined for any other descriptor. @throws the system's error */
export function placeOfPipe(fd: number): PipePlace | undefined {
  const stat = fstatSync(fd, { bigint: true });
  return stat.isFIFO() ? { path: `/proc/${process.pid}/fd/${fd}`, inode: stat.ino } : undefined;
}

/**
 * Opens a pipe of another process for writing, non-blocking, with flags of its own.
 *
 * @returns undefined if it isn't there any more, or that process's descriptors aren't for this one
 */
export function openPlace({ path, inode }: PipePlace): Descriptor | undefined {
  let fd: number;
  try {
    fd = open(path, openFlags.writeOnly | openFlags.nonBlocking);
  } catch {
    return undefined;
  }
  using opened = new Descriptor(fd);
  const stat = fstatSync(fd, { bigint: true });
  return stat.isFIFO() && stat.ino === inode ? new Descriptor(opened.release()) : undefined;
}
