/** What this process holds in memory. */

import { readFileSync } from "node:fs";
import { libc } from "./libc.ts";

/** madvise(2): include/uapi/asm-generic/mman-common.h. */
const MADV_DONTNEED = 4;

/**
 * Lets go of the pages of program code that this process has mapped: those of an executable's start, above all. What runs again is mapped
 * again from the page cache, or read from the file if that had to make room. Returns how many bytes of address space were advised.
 *
 * Only mappings of files that can be executed and not written to: their pages have nothing that is not in the file.
 */
export function releaseCode(): number {
  let released = 0;
  for (const { start, size } of codeMappings(readFileSync("/proc/self/maps", "latin1"))) {
    if (libc.madvise(start, size, MADV_DONTNEED) === 0) released += size;
  }
  return released;
}

/** The mappings of files' code in the text of /proc/<pid>/maps, see proc(5). Addresses and sizes in bytes. */
export function codeMappings(text: string): { start: number; size: number }[] {
  return text.split("\n").flatMap((line) => {
    const [, from = "", to = ""] = /^([0-9a-f]+)-([0-9a-f]+) r-xp [0-9a-f]+ \S+ [1-9]\d* /.exec(line) ?? [];
    if (from === "") return [];
    const start = Number.parseInt(from, 16);
    return [{ start, size: Number.parseInt(to, 16) - start }];
  });
}
