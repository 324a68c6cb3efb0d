/**
 * Frames of SPDY/3.1: SPDY Protocol – Draft 3.1, section 2.2.
 *
 *   control   1 | version (15) | type (16) | flags (8) | length (24) | data
 *   data      0 | stream (31)              | flags (8) | length (24) | data
 */

import { invalidArgument } from "@hull/errors";

export const frameTypes = {
  synStream: 1,
  synReply: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  headers: 8,
  windowUpdate: 9,
} as const;

/** Of a frame after which its sender has nothing more on that stream. */
export const finFlag = 1;

/** Why a stream is ended by RST_STREAM. Section 2.6.3. */
export const resetReasons = { protocolError: 1, invalidStream: 2, refusedStream: 3, cancel: 5 } as const;

export const frameHeaderSize = 8;
const version = 3;
/** What a control frame may hold; only headers have more than a few bytes. */
const maximumControl = 64 * 1024;

/** Who takes what is read. */
export interface FrameHandler {
  control(type: number, flags: number, payload: Buffer): void;
  /** A part of a data frame, as much as has come. */
  data(stream: number, piece: Uint8Array): void;
  /** A data frame has come whole. */
  dataEnd(stream: number, flags: number): void;
}

/** Reads frames from pieces of any size. Data isn't collected: a frame's parts are passed on as they come. */
export class FrameParser {
  readonly #handler: FrameHandler;
  /** The beginning of a header or a control frame, whose rest hasn't come yet. */
  #begun: Buffer = Buffer.alloc(0);
  #data: { stream: number; flags: number; left: number } | undefined;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  /** @throws InvalidArgument: the bytes are no such frames; nothing can be read after that */
  push(chunk: Uint8Array): void {
    let rest =
      this.#begun.length > 0
        ? Buffer.concat([this.#begun, chunk])
        : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    while (rest.length > 0) {
      const used = this.#data === undefined ? this.#frame(rest) : this.#piece(this.#data, rest);
      if (used === 0) break;
      rest = rest.subarray(used);
    }
    this.#begun = rest.length > 0 ? Buffer.from(rest) : rest;
  }

  /** Bytes of a data frame's contents. */
  #piece(frame: { stream: number; flags: number; left: number }, rest: Buffer): number {
    const used = Math.min(frame.left, rest.length);
    frame.left -= used;
    this.#handler.data(frame.stream, used === rest.length ? rest : rest.subarray(0, used));
    if (frame.left === 0) this.#endData(frame);
    return used;
  }

  #endData({ stream, flags }: { stream: number; flags: number }): void {
    this.#data = undefined;
    this.#handler.dataEnd(stream, flags);
  }

  /** A control frame, or the header of a data frame; 0 if it isn't there yet. */
  #frame(rest: Buffer): number {
    if (rest.length < frameHeaderSize) return 0;
    const word = rest.readUInt32BE(0);
    const flags = rest.readUInt8(4);
    const length = rest.readUIntBE(5, 3);
    if (word < 0x8000_0000) {
      if (word === 0) throw invalidArgument("a SPDY data frame belongs to stream 0");
      this.#data = { stream: word, flags, left: length };
      if (length === 0) this.#endData(this.#data);
      return frameHeaderSize;
    }
    const frameVersion = (word >>> 16) & 0x7fff;
    if (frameVersion !== version) throw invalidArgument(`SPDY version ${frameVersion} is not ${version}`);
    if (length > maximumControl) throw invalidArgument(`a SPDY control frame has ${length} bytes`);
    const end = frameHeaderSize + length;
    if (rest.length < end) return 0;
    this.#handler.control(word & 0xffff, flags, rest.subarray(frameHeaderSize, end));
    return end;
  }
}

/** A control frame whose contents are four-byte numbers, and bytes after them. */
export function controlFrame(type: number, flags: number, words: readonly number[], bytes?: Uint8Array): Uint8Array {
  const length = 4 * words.length + (bytes?.length ?? 0);
  const frame = Buffer.alloc(frameHeaderSize + length);
  frame.writeUInt16BE(0x8000 | version, 0);
  frame.writeUInt16BE(type, 2);
  frame.writeUInt8(flags, 4);
  frame.writeUIntBE(length, 5, 3);
  words.forEach((word, index) => {
    frame.writeUInt32BE(word, frameHeaderSize + 4 * index);
  });
  if (bytes !== undefined) frame.set(bytes, frameHeaderSize + 4 * words.length);
  return frame;
}

/** Writes the header of a data frame at `at`. */
export function putDataHeader(buffer: Uint8Array, at: number, stream: number, flags: number, length: number): void {
  const view = new DataView(buffer.buffer, buffer.byteOffset + at, frameHeaderSize);
  view.setUint32(0, stream);
  view.setUint32(4, flags * 0x100_0000 + length);
}
