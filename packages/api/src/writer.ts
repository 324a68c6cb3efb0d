import { BinaryWriter } from "@bufbuild/protobuf/wire";

/** Longest text that is copied here, in UTF-16 units: digests, media types, names and most labels. */
const longest = 192;
const scratch = new Uint8Array(longest);
const beginnings = Array.from({ length: longest + 1 }, (_, length) => scratch.subarray(0, length));

/**
 * Writes the same bytes as `BinaryWriter` in half of the time, for what hull's messages are made of: texts in ASCII longer than the 32
 * characters up to which that one is fast, and 64-bit integers that are small.
 */
export class Writer extends BinaryWriter {
  override string(value: string): this {
    const beginning = value.length > 32 ? beginnings[value.length] : undefined;
    if (beginning === undefined) return super.string(value);
    for (let at = 0; at < value.length; at++) {
      const code = value.charCodeAt(at);
      if (code > 0x7f) return super.string(value);
      scratch[at] = code;
    }
    return this.uint32(value.length).raw(beginning);
  }

  override int64(value: string | number | bigint): this {
    return isSmall(value) ? this.uint32(Number(value)) : super.int64(value);
  }

  override uint64(value: string | number | bigint): this {
    return isSmall(value) ? this.uint32(Number(value)) : super.uint64(value);
  }
}

/** True for what has the same bytes as a 32-bit integer. */
function isSmall(value: string | number | bigint): boolean {
  return typeof value === "bigint" && value >= 0n && value <= 0xffff_ffffn;
}
