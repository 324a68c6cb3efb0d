/** The 512 bytes that begin every entry: fields, numbers, checksum (POSIX.1-2017, pax, "ustar Interchange Format"). */

import { invalidArgument } from "@hull/errors";

/** Everything in an archive comes in blocks of this many bytes. */
export const blockSize = 512;

/** Where the fields are: offset and length in bytes. */
export const fields = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  flag: [156, 1],
  linkName: [157, 100],
  magic: [257, 8],
  userName: [265, 32],
  groupName: [297, 32],
  deviceMajor: [329, 8],
  deviceMinor: [337, 8],
  prefix: [345, 155],
  /** star: the prefix is shorter, times follow it. */
  starPrefix: [345, 131],
  starTrailer: [508, 4],
  /** GNU, old sparse files: pairs of offset and size, 12 bytes each. */
  gnuSparse: [386, 96],
  gnuSparseMore: [482, 1],
  gnuRealSize: [483, 12],
} as const satisfies Record<string, readonly [number, number]>;

/** The archive is damaged, or no archive at all. `position` is a byte offset in it. */
export function damaged(position: number, what: string) {
  return invalidArgument(`tar archive is damaged at byte ${position}: ${what}`);
}

/** A header inside a larger buffer: `at` is where it begins there, `position` where it is in the archive. */
export interface HeaderBlock {
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly position: number;
}

/** True if the block is all zeros: two of these end an archive. */
export function isZero({ bytes, at }: HeaderBlock): boolean {
  for (let index = at; index < at + blockSize; index++) if (bytes[index] !== 0) return false;
  return true;
}

/** @throws invalidArgument if the header's sum isn't that of its bytes, counted with or without sign. */
export function verifyChecksum(block: HeaderBlock): void {
  const { bytes, at, position } = block;
  const [sumAt, sumLength] = fields.checksum;
  let unsigned = 0;
  let signed = 0;
  for (let index = 0; index < blockSize; index++) {
    const inSum = index >= sumAt && index < sumAt + sumLength;
    const byte = inSum ? 0x20 : (bytes[at + index] ?? 0);
    unsigned += byte;
    signed += byte > 127 ? byte - 256 : byte;
  }
  const written = readNumber(block, "checksum");
  // Some old programs summed signed characters.
  if (written !== unsigned && written !== signed) throw damaged(position, "the header's checksum is wrong");
}

/**
 * A number: octal digits among spaces and NULs, or base 256 (GNU: high bit of the first byte; two's complement).
 *
 * @throws invalidArgument if it is neither, or isn't a safe integer
 */
export function readNumber(block: HeaderBlock, field: keyof typeof fields): number {
  const [offset, length] = fields[field];
  return numberAt(block, offset, length, field);
}

/** As `readNumber`, for a place that isn't a named field. */
export function numberAt({ bytes, at, position }: HeaderBlock, offset: number, length: number, what: string): number {
  const start = at + offset;
  const first = bytes[start] ?? 0;
  if (first & 0x80) {
    const negative = (first & 0x40) !== 0;
    let value = negative ? (first & 0x7f) - 0x80 : first & 0x7f;
    for (let index = start + 1; index < start + length; index++) value = value * 256 + (bytes[index] ?? 0);
    if (!Number.isSafeInteger(value)) throw damaged(position, `its ${what} is beyond any sense`);
    return value;
  }
  let value = 0;
  let index = start;
  const end = start + length;
  while (index < end && (bytes[index] === 0x20 || bytes[index] === 0)) index++;
  for (; index < end; index++) {
    const digit = (bytes[index] ?? 0) - 0x30;
    if (digit < 0 || digit > 7) break;
    value = value * 8 + digit;
  }
  for (; index < end; index++) {
    if (bytes[index] !== 0x20 && bytes[index] !== 0) throw damaged(position, `its ${what} is not an octal number`);
  }
  return value;
}

/** A copy of a text field up to its first NUL. */
export function readText({ bytes, at }: HeaderBlock, field: keyof typeof fields): Uint8Array {
  const [offset, length] = fields[field];
  let end = at + offset;
  while (end < at + offset + length && bytes[end] !== 0) end++;
  return bytes.slice(at + offset, end);
}

/** How the header is written beyond its first 257 bytes. */
export type Dialect = "v7" | "ustar" | "star" | "gnu";

/** Tells the dialect by magic and version; star has a trailer besides. */
export function dialectOf({ bytes, at }: HeaderBlock): Dialect {
  const [magicAt, magicLength] = fields.magic;
  const magic = String.fromCharCode(...bytes.subarray(at + magicAt, at + magicAt + magicLength));
  if (magic === "ustar  \0") return "gnu";
  if (!magic.startsWith("ustar")) return "v7";
  const trailer = at + fields.starTrailer[0];
  const isStar =
    bytes[trailer] === 0x74 && bytes[trailer + 1] === 0x61 && bytes[trailer + 2] === 0x72 && bytes[trailer + 3] === 0;
  return isStar ? "star" : "ustar";
}
