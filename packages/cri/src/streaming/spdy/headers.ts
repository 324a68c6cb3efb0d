/**
 * Blocks of headers: names and values after their lengths, compressed by one zlib stream per direction for the whole connection. SPDY
 * Protocol – Draft 3.1, section 2.6.10.
 */

import { constants, inflateRawSync } from "node:zlib";
import { invalidArgument } from "@hull/errors";
import { dictionary } from "./dictionary.ts";

/** Names in lower case; of several values of a name the first. */
export type Headers = ReadonlyMap<string, string>;

/** The most that a block may hold when it is unpacked; those of remote commands have some hundred bytes. */
const maximumSize = 64 * 1024;
/** How far back a deflate stream refers. RFC 1951, section 2. */
const windowSize = 32 * 1024;
/** CMF and FLG of a deflate stream with a preset dictionary, and the checksum of that dictionary. RFC 1950, section 2.2. */
const zlibHeader = Uint8Array.of(0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2);
const presetDictionary = 0x20;
/** An empty block without compression, which ends what a reader must be able to unpack. RFC 1951, section 3.2.4. */
const flush = Uint8Array.of(0, 0, 0, 0xff, 0xff);
const largestStored = 0xffff;

/** Reads the blocks of one direction, in their order. */
export class HeaderDecoder {
  /** What the next block may refer to; before the first one, the dictionary. */
  #window: Uint8Array = dictionary;
  #first = true;

  /** @throws InvalidArgument: the block is no such thing, or too large; the connection can't go on then */
  decode(block: Uint8Array): Map<string, string> {
    return parseBlock(this.#inflate(block));
  }

  #inflate(block: Uint8Array): Buffer {
    let data = block;
    if (this.#first) {
      const [method = 0, flags = 0] = block;
      if ((method & 0x0f) !== 8 || (method * 256 + flags) % 31 !== 0)
        throw invalidArgument("the headers of a SPDY frame are not compressed by zlib");
      if ((flags & presetDictionary) === 0) this.#window = new Uint8Array(0);
      else if (!zlibHeader.subarray(2).every((byte, index) => byte === block[index + 2]))
        throw invalidArgument("the headers of a SPDY frame are compressed with another dictionary");
      data = block.subarray((flags & presetDictionary) === 0 ? 2 : 6);
      this.#first = false;
    }
    let plain: Buffer;
    try {
      // Each block ends at a byte (Z_SYNC_FLUSH), so it can be unpacked by itself, given what it may refer to.
      plain = inflateRawSync(data, {
        ...(this.#window.length > 0 && { dictionary: this.#window }),
        finishFlush: constants.Z_SYNC_FLUSH,
        maxOutputLength: maximumSize,
      });
    } catch (cause) {
      throw invalidArgument("the headers of a SPDY frame can't be decompressed", { cause });
    }
    this.#window = Buffer.concat([this.#window, plain]).subarray(-windowSize);
    return plain;
  }
}

function parseBlock(block: Buffer): Map<string, string> {
  const headers = new Map<string, string>();
  let at = 4;
  const text = (): string => {
    const length = at + 4 <= block.length ? block.readUInt32BE(at) : Number.POSITIVE_INFINITY;
    if (at + 4 + length > block.length) throw invalidArgument("the headers of a SPDY frame are cut off");
    at += 4 + length;
    return block.toString("latin1", at - length, at);
  };
  const count = block.length < 4 ? Number.POSITIVE_INFINITY : block.readUInt32BE(0);
  for (let index = 0; index < count; index++) {
    const name = text().toLowerCase();
    const [value = ""] = text().split("\0");
    if (!headers.has(name)) headers.set(name, value);
  }
  return headers;
}

/** Writes the blocks of one direction. Without compression, which a few bytes don't need. */
export class HeaderEncoder {
  #first = true;

  encode(headers: Headers): Uint8Array {
    const count = Buffer.alloc(4);
    count.writeUInt32BE(headers.size);
    const plain = Buffer.concat([count, ...[...headers].flatMap(([name, value]) => [sized(name), sized(value)])]);
    const parts: Uint8Array[] = this.#first ? [zlibHeader] : [];
    this.#first = false;
    for (let at = 0; at < plain.length; at += largestStored) parts.push(stored(plain.subarray(at, at + largestStored)));
    return Buffer.concat([...parts, flush]);
  }
}

function sized(text: string): Buffer {
  const bytes = Buffer.from(`\0\0\0\0${text}`, "latin1");
  bytes.writeUInt32BE(bytes.length - 4);
  return bytes;
}

/** A block without compression: its length, and that with all bits the other way. RFC 1951, section 3.2.4. */
function stored(bytes: Uint8Array): Buffer {
  const block = Buffer.alloc(5 + bytes.length);
  block.writeUInt16LE(bytes.length, 1);
  block.writeUInt16LE(~bytes.length & 0xffff, 3);
  block.set(bytes, 5);
  return block;
}
