import { errorCodes } from "../codes.ts";
import { ConnectionError } from "../errors.ts";

/** Integers with a prefix of a few bits (RFC 7541, section 5.1). */

/** No index, length or size here is larger; five bytes after the prefix would go beyond 32 bits. */
const largest = 2 ** 28;

/** Reads what a header block is made of; `at` is the next byte. @throws ConnectionError for a block that ends too early */
export class BlockReader {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  byte(): number {
    if (this.at >= this.end) throw compressionError("a header block ends amid a field");
    return this.bytes[this.at++] ?? 0;
  }

  /** The rest of an integer whose first byte is `first`, of which the low `bits` are its own. */
  integer(first: number, bits: number): number {
    const mask = (1 << bits) - 1;
    let value = first & mask;
    if (value < mask) return value;
    let shift = 0;
    for (;;) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (value > largest || shift > 28) throw compressionError("an integer of a header block is too large");
      if (byte < 0x80) return value;
      shift += 7;
    }
  }
}

/** Writes an integer at `at`, the bits above its prefix being those of `flags`; returns where it ends. At most 6 bytes. */
export function writeInteger(out: Uint8Array, at: number, flags: number, bits: number, value: number): number {
  const mask = (1 << bits) - 1;
  if (value < mask) {
    out[at] = flags | value;
    return at + 1;
  }
  out[at++] = flags | mask;
  let rest = value - mask;
  while (rest >= 0x80) {
    out[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  out[at] = rest;
  return at + 1;
}

export function compressionError(message: string): ConnectionError {
  return new ConnectionError(errorCodes.compressionError, message);
}
