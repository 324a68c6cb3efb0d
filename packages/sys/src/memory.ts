/** What this process holds in memory. */

import { closeSync, openSync, readFileSync, readSync } from "node:fs";
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

const pageSize = 4096;
/** Entries of pagemap that are read at once: a span of 4 MiB. */
const entriesAtOnce = 1024;
/** Larger mappings hold address space, of which only the beginning is in use. */
const maximumMapping = 2 ** 31;

/**
 * Lets go of the pages of this process's own memory that hold nothing but zeros: the kernel gives such a page again when it is touched. An
 * allocator's cleared or never used pages are among them, about a fifth of what an idle process of this runtime has.
 *
 * Only where no other thread works, which might write into a page that has just been looked at: with more than `threads` of them nothing is
 * done. Returns how many bytes were let go.
 *
 * Source: pagemap in the kernel's Documentation/admin-guide/mm/pagemap.rst.
 *
 * @param threads how many there are of which all but the caller are known to sleep
 */
export function releaseZeroPages({ threads }: { threads: number }): number {
  const count = /^Threads:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1];
  if (!(Number(count) <= threads)) return 0;
  const pagemap = openSync("/proc/self/pagemap", "r");
  const memory = openSync("/proc/self/mem", "r");
  try {
    let released = 0;
    for (const mapping of privateMappings(readFileSync("/proc/self/maps", "latin1"))) {
      for (const { start, size } of presentRuns(pagemap, mapping)) released += releaseZeros(memory, start, size);
    }
    return released;
  } finally {
    closeSync(pagemap);
    closeSync(memory);
  }
}

/** The mappings of nothing but memory, without the stack's, in the text of /proc/<pid>/maps. Addresses and sizes in bytes. */
export function privateMappings(text: string): { start: number; size: number }[] {
  return text.split("\n").flatMap((line) => {
    const [, from = "", to = ""] = /^([0-9a-f]+)-([0-9a-f]+) rw-p 00000000 00:00 0\s*$/.exec(line) ?? [];
    const start = Number.parseInt(from, 16);
    const size = Number.parseInt(to, 16) - start;
    return size > 0 && size <= maximumMapping ? [{ start, size }] : [];
  });
}

/** Runs of pages that are in memory. */
function* presentRuns(pagemap: number, mapping: { start: number; size: number }) {
  const chunk = Buffer.alloc(entriesAtOnce * 8);
  const end = mapping.start + mapping.size;
  for (let at = mapping.start; at < end; at += entriesAtOnce * pageSize) {
    const entries =
      readSync(pagemap, chunk, 0, Math.min(entriesAtOnce, (end - at) / pageSize) * 8, (at / pageSize) * 8) / 8;
    // Most of what is reserved is one entry again and again, which needn't be looked at one by one.
    if (!isPresent(chunk, 0) && chunk.compare(chunk, 0, (entries - 1) * 8, 8, entries * 8) === 0) continue;
    let first: number | undefined;
    for (let index = 0; index <= entries; index++) {
      const present = index < entries && isPresent(chunk, index);
      if (present) first ??= index;
      else if (first !== undefined) {
        yield { start: at + first * pageSize, size: (index - first) * pageSize };
        first = undefined;
      }
    }
  }
}

function isPresent(entries: Buffer, index: number): boolean {
  return ((entries[index * 8 + 7] ?? 0) & 0x80) !== 0;
}

const zeros = Buffer.alloc(pageSize);

function releaseZeros(memory: number, start: number, size: number): number {
  const page = Buffer.allocUnsafeSlow(pageSize);
  let released = 0;
  for (let at = start; at < start + size; at += pageSize) {
    if (readSync(memory, page, 0, pageSize, at) !== pageSize || !page.equals(zeros)) continue;
    if (libc.madvise(at, pageSize, MADV_DONTNEED) === 0) released += pageSize;
  }
  return released;
}
