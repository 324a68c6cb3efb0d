/**
 * What this process holds in memory.
 *
 * A process that has just been tidied calls these: they work on bytes, and make no strings nor objects for each line and page, which would
 * take as much again as is let go of.
 */

import { closeSync, openSync, readSync, statSync } from "node:fs";
import { libc } from "./libc.ts";

/** madvise(2): include/uapi/asm-generic/mman-common.h. */
const MADV_DONTNEED = 4;

const pageSize = 4096;

/**
 * Lets go of the pages of program code that this process has mapped: those of an executable's start, above all. What runs again is mapped
 * again from the page cache, or read from the file if that had to make room. Returns how many bytes of address space were advised.
 *
 * Only mappings of files that can be executed and not written to: their pages have nothing that is not in the file.
 */
export function releaseCode(): number {
  let released = 0;
  eachOwnMapping((kind, start, size) => {
    if (kind === "code") released += release(start, size);
  });
  return released;
}

/** Larger mappings hold address space, of which only the beginning is in use. */
const maximumMapping = 2 ** 31;

/**
 * Lets go of the pages that this process can do without: those of its own memory that hold nothing but zeros, for the kernel gives such a
 * page again when it is touched, and those of files that are as they are in the file. An allocator's cleared or never used pages are among the
 * first, about a fifth of what an idle process of this runtime has; among the others what it reads when it starts.
 *
 * Only where no other thread works, which might write into a page that has just been looked at: with more than `threads` of them nothing is
 * done. Returns how many bytes were let go.
 *
 * Source: pagemap in the kernel's Documentation/admin-guide/mm/pagemap.rst.
 *
 * @param threads how many there are of which all but the caller are known to sleep
 */
export function releasePages({ threads }: { threads: number }): number {
  // A directory has a link from each directory in it, besides its own two.
  const count = statSync("/proc/self/task").nlink - 2;
  if (count < 1 || count > threads) return 0;
  const pagemap = openSync("/proc/self/pagemap", "r");
  const memory = openSync("/proc/self/mem", "r");
  try {
    let released = 0;
    eachOwnMapping((kind, start, size) => {
      if (kind === "code" || size > maximumMapping) return;
      for (let at = start; at < start + size; at += entriesAtOnce * pageSize) {
        const count = readEntries(pagemap, at, start + size);
        released += kind === "memory" ? releaseZeros(memory, at, count) : releaseUnchanged(at, count);
      }
    });
    return released;
  } finally {
    closeSync(pagemap);
    closeSync(memory);
  }
}

/** Code of a file, which nobody can change; what else of a file is private; or nothing but memory, without the heap's and the stack's. */
export type MappingKind = "code" | "file" | "memory";

/** Told of a mapping: its address and size in bytes. */
type EachMapping = (kind: MappingKind, start: number, size: number) => void;

const mapsChunk = Buffer.alloc(pageSize);

function eachOwnMapping(each: EachMapping): void {
  const maps = openSync("/proc/self/maps", "r");
  try {
    const parse = mappingParser(each);
    for (let length = 1; length > 0; ) {
      length = readSync(maps, mapsChunk, 0, pageSize, null);
      parse(mapsChunk, length);
    }
  } finally {
    closeSync(maps);
  }
}

const [newline, space, dash, zero, colon] = [10, 32, 45, 48, 58];
/** Which field of a line is what; between them there is a space, or a dash after the first. */
const fields = { start: 0, end: 1, permissions: 2, inode: 5, name: 6 };
/** Permissions as the number that their four letters make: r-xp, r--p, rw-p. */
const [readExecute, readOnly, readWrite] = [0x722d7870, 0x722d2d70, 0x72772d70];

/**
 * Reads the text of /proc/<pid>/maps, see proc(5), as it comes, and tells of those mappings that have a kind. The result is to be
 * called with each chunk, and how much of it counts.
 */
export function mappingParser(each: EachMapping): (bytes: Uint8Array, length: number) => void {
  let field = 0;
  let start = 0;
  let end = 0;
  let permissions = 0;
  let isOfFile = false;
  /** Nothing but zeros behind the permissions. */
  let isOfNothing = true;
  const endLine = (): void => {
    if (permissions === readExecute && isOfFile) each("code", start, end - start);
    else if ((permissions === readOnly || permissions === readWrite) && isOfFile) each("file", start, end - start);
    else if (permissions === readWrite && isOfNothing) each("memory", start, end - start);
    field = start = end = permissions = 0;
    isOfFile = false;
    isOfNothing = true;
  };
  return (bytes, length) => {
    for (let index = 0; index < length; index++) {
      const byte = bytes[index] ?? 0;
      if (byte === newline) endLine();
      else if (byte === space || (byte === dash && field === fields.start)) field += field < fields.name ? 1 : 0;
      else if (field === fields.start) start = start * 16 + hexDigit(byte);
      else if (field === fields.end) end = end * 16 + hexDigit(byte);
      else if (field === fields.permissions) permissions = permissions * 256 + byte;
      else if (byte !== zero && byte !== colon) {
        isOfNothing = false;
        isOfFile ||= field === fields.inode;
      }
    }
  };
}

const hexDigit = (byte: number): number => (byte < 58 ? byte - 48 : byte - 87);

/** Entries of pagemap that are read at once: a span of 4 MiB. */
const entriesAtOnce = 1024;
const entrySize = 8;
/** In an entry's last byte: the page is in memory, and it is a file's own. */
const [present, ofFile] = [0x80, 0x20];
const entries = Buffer.alloc(entriesAtOnce * entrySize);
const page = Buffer.alloc(pageSize);
const zeros = Buffer.alloc(pageSize);

/** Reads the entries of the pages from an address on. @returns how many are worth looking at */
function readEntries(pagemap: number, at: number, end: number): number {
  const wanted = Math.min(entriesAtOnce, (end - at) / pageSize) * entrySize;
  const length = readSync(pagemap, entries, 0, wanted, (at / pageSize) * entrySize);
  // Most of what is reserved is one entry again and again, which needn't be looked at one by one.
  const isAbsent =
    (flagsOf(0) & present) === 0 && entries.compare(entries, 0, length - entrySize, entrySize, length) === 0;
  return isAbsent ? 0 : length / entrySize;
}

function flagsOf(index: number): number {
  return entries[index * entrySize + entrySize - 1] ?? 0;
}

function releaseZeros(memory: number, at: number, count: number): number {
  let released = 0;
  for (let index = 0; index < count; index++) {
    if ((flagsOf(index) & present) === 0) continue;
    const address = at + index * pageSize;
    const isZero = readSync(memory, page, 0, pageSize, address) === pageSize && page.compare(zeros) === 0;
    if (isZero) released += release(address, pageSize);
  }
  return released;
}

/** A page that was written to is the process's own. */
function releaseUnchanged(at: number, count: number): number {
  let released = 0;
  let run = 0;
  for (let index = 0; index <= count; index++) {
    const isUnchanged = index < count && (flagsOf(index) & (present | ofFile)) === (present | ofFile);
    if (isUnchanged) run++;
    else if (run > 0) {
      released += release(at + (index - run) * pageSize, run * pageSize);
      run = 0;
    }
  }
  return released;
}

function release(address: number, size: number): number {
  return libc.madvise(address, size, MADV_DONTNEED) === 0 ? size : 0;
}
