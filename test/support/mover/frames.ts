/** What a client of the streaming server writes and reads, in the sizes in which Kubernetes' clients do. */

import { crc32 } from "node:zlib";
import { HeaderEncoder } from "../../../packages/cri/src/streaming/spdy/headers.ts";
import type { Outgoing } from "./loop.ts";
import { blockSize, putBlock, putNumber } from "./pattern.ts";

/** Blocks that are sent with one call. */
const batch = 32;
const key = Uint8Array.of(0x5a, 0x17, 0xc3, 0x88);
const none = new Uint8Array(4);

/** How blocks are sent: what comes before each, what its bytes are masked with, and what comes after all. */
export interface Framing {
  readonly prefix: Uint8Array;
  readonly mask: Uint8Array;
  readonly end: Uint8Array;
}

export const rawFraming: Framing = { prefix: new Uint8Array(0), mask: none, end: new Uint8Array(0) };

/** The data frames of a stream. */
export const spdyFraming = (stream: number): Framing => ({
  prefix: spdyData(stream, 0, blockSize),
  mask: none,
  end: spdyData(stream, 1, 0),
});

/** Messages on a channel, as `v5.channel.k8s.io` has them. */
export const channelFraming = (channel: number): Framing => ({
  prefix: masked(Uint8Array.of(channel), 1 + blockSize),
  mask: rotated(1),
  end: masked(Uint8Array.of(255, channel)),
});

/** SPDY in messages: a frame's header in one, its contents in another, as Go's client does it. */
export const tunnelFraming = (stream: number): Framing => ({
  prefix: Buffer.concat([masked(spdyData(stream, 0, blockSize)), masked(new Uint8Array(0), blockSize)]),
  mask: key,
  end: masked(spdyData(stream, 1, 0)),
});

const rotated = (by: number): Uint8Array => key.map((_, index) => key[(index + by) % 4] ?? 0);

function spdyData(stream: number, flags: number, length: number): Uint8Array {
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(stream);
  frame.writeUInt32BE(flags * 0x100_0000 + length, 4);
  return frame;
}

/** Frames of SPDY that open streams with these headers; their ids are 1, 3 and so on. */
export function spdyOpen(streams: readonly Readonly<Record<string, string>>[]): Uint8Array {
  const encoder = new HeaderEncoder();
  return Buffer.concat(
    streams.flatMap((headers, index) => {
      const block = encoder.encode(new Map(Object.entries(headers)));
      const head = Buffer.alloc(18);
      head.writeUInt32BE(0x8003_0001);
      head.writeUInt32BE(10 + block.length, 4);
      head.writeUInt32BE(2 * index + 1, 8);
      return [head, block];
    }),
  );
}

/** A whole message of a client, or the beginning of one of `length` bytes. RFC 6455, section 5.2. */
export function masked(bytes: Uint8Array, length = bytes.length): Uint8Array {
  const header = Buffer.alloc(length < 126 ? 2 : 4);
  header.writeUInt8(0x82);
  header.writeUInt8(0x80 | Math.min(length, 126), 1);
  if (length >= 126) header.writeUInt16BE(length, 2);
  return Buffer.concat([header, key, bytes.map((byte, index) => byte ^ (key[index % 4] ?? 0))]);
}

/** The pattern's first `bytes`, framed. */
export class PatternSource implements Outgoing {
  readonly #framing: Framing;
  readonly #blocks: number;
  readonly #whole: number;
  readonly #buffer: Uint8Array;
  /** `wait` until it is told that it may begin. */
  readonly #begun: () => boolean;
  #sent = 0;
  #ended = false;
  finished: (() => void) | undefined;

  constructor(bytes: number, framing: Framing, begun: () => boolean = () => true) {
    this.#framing = framing;
    this.#begun = begun;
    this.#blocks = bytes / blockSize;
    const { prefix, mask } = framing;
    this.#whole = prefix.length + blockSize;
    this.#buffer = new Uint8Array(batch * this.#whole);
    for (let index = 0; index < batch; index++) {
      const at = index * this.#whole;
      this.#buffer.set(prefix, at);
      putBlock(this.#buffer, at + prefix.length, index);
      for (let byte = 0; byte < blockSize; byte++) {
        const place = at + prefix.length + byte;
        this.#buffer[place] = (this.#buffer[place] ?? 0) ^ (mask[byte % 4] ?? 0);
      }
    }
  }

  next(): Uint8Array | "wait" | undefined {
    if (!this.#begun()) return "wait";
    if (this.#sent === this.#blocks) {
      if (this.#ended) return undefined;
      this.#ended = true;
      return this.#framing.end;
    }
    const { prefix, mask } = this.#framing;
    const count = Math.min(batch, this.#blocks - this.#sent);
    for (let index = 0; index < count; index++) {
      const at = index * this.#whole + prefix.length;
      putNumber(this.#buffer, at, this.#sent + index);
      for (let byte = 0; byte < 4; byte++) this.#buffer[at + byte] = (this.#buffer[at + byte] ?? 0) ^ (mask[byte] ?? 0);
    }
    this.#sent += count;
    return this.#buffer.subarray(0, count * this.#whole);
  }
}

/** Counts and sums what comes. */
export class Sum {
  bytes = 0;
  checksum = 0;

  add(bytes: Uint8Array): void {
    this.bytes += bytes.length;
    this.checksum = crc32(bytes, this.checksum);
  }
}

/** What a server tells on its streams. */
export interface StreamEvents {
  data(stream: number, bytes: Uint8Array): void;
  end(stream: number): void;
  opened(stream: number): void;
}

const isHeaderWhole = (bytes: Uint8Array, length: number): boolean => bytes.length >= length;

/** Frames of SPDY from pieces of any size. */
export class SpdyReader {
  readonly #events: StreamEvents;
  #begun: Buffer = Buffer.alloc(0);
  #data: { stream: number; fin: boolean; left: number } | undefined;

  constructor(events: StreamEvents) {
    this.#events = events;
  }

  push(bytes: Uint8Array): void {
    let rest = joined(this.#begun, bytes);
    for (;;) {
      const used = this.#data === undefined ? this.#header(rest) : this.#contents(this.#data, rest);
      rest = rest.subarray(used);
      if (used === 0) break;
    }
    this.#begun = Buffer.from(rest);
  }

  #contents(frame: { stream: number; left: number }, rest: Buffer): number {
    const used = Math.min(frame.left, rest.length);
    if (used > 0) this.#events.data(frame.stream, rest.subarray(0, used));
    frame.left -= used;
    this.#finish();
    return used;
  }

  #finish(): void {
    if (this.#data?.left !== 0) return;
    if (this.#data.fin) this.#events.end(this.#data.stream);
    this.#data = undefined;
  }

  #header(rest: Buffer): number {
    if (!isHeaderWhole(rest, 8)) return 0;
    const [word, flags, length] = [rest.readUInt32BE(0), rest.readUInt8(4), rest.readUIntBE(5, 3)];
    if (word < 0x8000_0000) {
      this.#data = { stream: word, fin: (flags & 1) !== 0, left: length };
      this.#finish();
      return 8;
    }
    if (!isHeaderWhole(rest, 8 + length)) return 0;
    const type = word & 0xffff;
    if (type === 2) this.#events.opened(rest.readUInt32BE(8));
    if (type === 3) this.#events.end(rest.readUInt32BE(8));
    return 8 + length;
  }
}

/** Messages of a WebSocket's server from pieces of any size: parts of them, `first` with the first byte. */
export class MessageReader {
  readonly #part: (bytes: Uint8Array, first: boolean) => void;
  #begun: Buffer = Buffer.alloc(0);
  #left = 0;
  #first = true;
  closed = false;

  constructor(part: (bytes: Uint8Array, first: boolean) => void) {
    this.#part = part;
  }

  push(bytes: Uint8Array): void {
    let rest = joined(this.#begun, bytes);
    while (rest.length > 0 && !this.closed) {
      const used = this.#left === 0 ? this.#header(rest) : this.#contents(rest);
      if (used === 0) break;
      rest = rest.subarray(used);
    }
    this.#begun = Buffer.from(rest);
  }

  #contents(rest: Buffer): number {
    const used = Math.min(this.#left, rest.length);
    this.#part(rest.subarray(0, used), this.#first);
    this.#first = false;
    this.#left -= used;
    return used;
  }

  #header(rest: Buffer): number {
    if (!isHeaderWhole(rest, 2)) return 0;
    const short = rest.readUInt8(1);
    const size = short === 126 ? 4 : short === 127 ? 10 : 2;
    if (!isHeaderWhole(rest, size)) return 0;
    if ((rest.readUInt8(0) & 0x0f) === 8) this.closed = true;
    else this.#left = size === 4 ? rest.readUInt16BE(2) : size === 10 ? Number(rest.readBigUInt64BE(2)) : short;
    this.#first = true;
    return size;
  }
}

const joined = (begun: Buffer, bytes: Uint8Array): Buffer =>
  begun.length > 0 ? Buffer.concat([begun, bytes]) : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
