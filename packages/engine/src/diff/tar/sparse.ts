/**
 * Sparse files: which parts of a file the archive has, in five notations (GNU tar manual, "Storing Sparse Files").
 *
 * Old GNU: pairs in the header, more of them in blocks that follow. PAX 0.0: a pair of records each. PAX 0.1: one record,
 * separated by commas. PAX 1.0: decimal lines at the start of the file's data, padded to a block.
 */

import { blockSize, damaged, fields, type HeaderBlock, numberAt } from "./header.ts";
import { paxNumber } from "./pax.ts";

/** A part of a sparse file that the archive holds. */
export interface Span {
  readonly offset: number;
  readonly length: number;
}

/** Spans of a file, two numbers each as they stand in the notation. A file of a million spans is still read; more is an attack. */
const maximumSpans = 1 << 20;

/** @throws invalidArgument unless the spans ascend, don't overlap, lie in the file, and hold `stored` bytes together. */
export function checkSpans(spans: readonly Span[], size: number, stored: number, position: number): void {
  let end = 0;
  let sum = 0;
  for (const { offset, length } of spans) {
    if (offset < end) throw damaged(position, "its sparse map doesn't ascend");
    end = offset + length;
    sum += length;
    if (end > size) throw damaged(position, "its sparse map leads out of the file");
  }
  if (sum !== stored) throw damaged(position, "its sparse map doesn't fit its data");
}

function add(spans: Span[], offset: number, length: number, position: number): void {
  if (spans.length >= maximumSpans) throw damaged(position, `its sparse map has more than ${maximumSpans} spans`);
  spans.push({ offset, length });
}

const pairSize = 24;

function readPairs(block: HeaderBlock, start: number, count: number, spans: Span[]): void {
  for (let index = 0; index < count; index++) {
    const at = start + index * pairSize;
    // The list ends at the first pair that is empty.
    if (block.bytes[block.at + at] === 0) return;
    const offset = numberAt(block, at, 12, "sparse map");
    const length = numberAt(block, at + 12, 12, "sparse map");
    if (offset < 0 || length < 0) throw damaged(block.position, "its sparse map has a negative number");
    add(spans, offset, length, block.position);
  }
}

/** Old GNU: the pairs in the header; true if blocks with more follow. */
export function readGnuHeaderSpans(block: HeaderBlock, spans: Span[]): boolean {
  readPairs(block, fields.gnuSparse[0], 4, spans);
  return block.bytes[block.at + fields.gnuSparseMore[0]] !== 0;
}

/** Old GNU: a block of 21 pairs; true if another one follows. */
export function readGnuExtensionSpans(block: HeaderBlock, spans: Span[]): boolean {
  readPairs(block, 0, 21, spans);
  return block.bytes[block.at + 504] !== 0;
}

/** PAX 0.1: `offset,length,offset,length…`; of PAX 0.0 the parser makes the same text. */
export function parseSpanList(list: string, position: number): Span[] {
  const spans: Span[] = [];
  if (list === "") return spans;
  const numbers = list.split(",");
  if (numbers.length % 2 !== 0) throw damaged(position, "its sparse map has an odd number of numbers");
  for (let index = 0; index < numbers.length; index += 2) {
    add(spans, spanNumber(numbers[index] ?? "", position), spanNumber(numbers[index + 1] ?? "", position), position);
  }
  return spans;
}

const spanNumber = (digits: string, position: number) =>
  paxNumber("sparse map", Buffer.from(digits, "latin1"), position);

/** PAX 1.0: gathers the decimal lines that stand before a file's data, block by block. */
export class SpanLines {
  readonly spans: Span[] = [];
  /** Bytes of the data that the map takes so far. */
  consumed = 0;
  readonly #position: number;
  #left = -1;
  #offset = -1;
  #number = 0;
  #digits = 0;

  constructor(position: number) {
    this.#position = position;
  }

  /** Takes one block; true when the map is complete. */
  push({ bytes, at }: HeaderBlock): boolean {
    this.consumed += blockSize;
    for (let index = at; index < at + blockSize; index++) {
      const byte = bytes[index] ?? 0;
      if (byte !== 0x0a) {
        const digit = byte - 0x30;
        if (digit < 0 || digit > 9 || ++this.#digits > 15) throw damaged(this.#position, "its sparse map is no number");
        this.#number = this.#number * 10 + digit;
        continue;
      }
      if (this.#digits === 0) throw damaged(this.#position, "its sparse map has an empty line");
      this.#line(this.#number);
      this.#number = 0;
      this.#digits = 0;
      if (this.#left === 0) return true;
    }
    return false;
  }

  #line(number: number): void {
    if (this.#left === -1) {
      this.#left = number;
    } else if (this.#offset === -1) {
      this.#offset = number;
    } else {
      add(this.spans, this.#offset, number, this.#position);
      this.#offset = -1;
      this.#left--;
    }
  }
}
