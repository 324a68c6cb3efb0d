/**
 * Bytes that show any loss, repetition or change of order: blocks that are random but for the number that each begins with.
 */

import { closeSync, openSync, writeSync } from "node:fs";
import { crc32 } from "node:zlib";

/** What Kubernetes' clients and containerd send at once. Lengths of patterns are multiples of it. */
export const blockSize = 32 * 1024;

/** Blocks that differ in more than their numbers. */
const kinds = 32;
const seed = 0x9e37_79b9;

/** The blocks as they are before they have their numbers. */
const plain: Uint8Array = (() => {
  const words = new Uint32Array((kinds * blockSize) / 4);
  let state = seed;
  for (let at = 0; at < words.length; at++) {
    // xorshift32
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[at] = state >>> 0;
  }
  return new Uint8Array(words.buffer);
})();

/** Writes block `index` at `at`, but for its number. */
export function putBlock(into: Uint8Array, at: number, index: number): void {
  const from = (index % kinds) * blockSize;
  into.set(plain.subarray(from, from + blockSize), at);
}

/** Writes the number of block `index`, which begins at `at`. */
export function putNumber(into: Uint8Array, at: number, index: number): void {
  into[at] = index >>> 24;
  into[at + 1] = index >>> 16;
  into[at + 2] = index >>> 8;
  into[at + 3] = index;
}

function* blocks(bytes: number): Generator<Uint8Array> {
  const block = new Uint8Array(blockSize);
  for (let index = 0; index < bytes / blockSize; index++) {
    putBlock(block, 0, index);
    putNumber(block, 0, index);
    yield block;
  }
}

/** The checksum of the pattern's first `bytes`. */
export function patternChecksum(bytes: number): number {
  let sum = 0;
  for (const block of blocks(bytes)) sum = crc32(block, sum);
  return sum;
}

/** Makes a file of the pattern. */
export function writePattern(path: string, bytes: number): void {
  const fd = openSync(path, "w");
  for (const block of blocks(bytes)) writeSync(fd, block);
  closeSync(fd);
}
