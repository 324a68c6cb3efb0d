import { resourceExhausted } from "@hull/errors";

/**
 * ttrpc's frames: ten bytes of header, big endian, and a payload.
 *
 *   0..3 length of the payload   4..7 stream id   8 type   9 flags
 *
 * See https://github.com/containerd/ttrpc/blob/main/PROTOCOL.md, "Message Frame".
 */
export interface Frame {
  readonly streamId: number;
  /** One of `frameTypes`; a frame of another type is to be ignored. */
  readonly type: number;
  /** Bits of `frameFlags`. */
  readonly flags: number;
  /** Never written to again by the decoder. Empty if the frame was too long to take. */
  readonly payload: Uint8Array;
  /** Bytes of a payload that was longer than allowed and has been thrown away. */
  readonly oversize?: number;
}

export const headerLength = 10;

/** The longest payload: 4 MiB. */
export const maximumPayload = 4 * 1024 * 1024;

export const frameTypes = { request: 1, response: 2, data: 3 } as const;

export const frameFlags = {
  /** The sender sends no more on this stream. */
  remoteClosed: 0x01,
  /** The sender will send data frames on this stream. */
  remoteOpen: 0x02,
  /** There is no message in this frame (an empty payload alone is an empty message). */
  noData: 0x04,
} as const;

/**
 * One frame as bytes.
 *
 * @throws ResourceExhausted if the payload is longer than `maximumPayload`.
 */
export function encodeFrame(streamId: number, type: number, flags: number, payload: Uint8Array): Uint8Array {
  const { length } = payload;
  if (length > maximumPayload) {
    throw resourceExhausted(`a ttrpc message of ${length} bytes is longer than the ${maximumPayload} allowed`);
  }
  const frame = new Uint8Array(headerLength + length);
  writeUint32(frame, 0, length);
  writeUint32(frame, 4, streamId);
  frame[8] = type;
  frame[9] = flags;
  frame.set(payload, headerLength);
  return frame;
}

/**
 * Frames out of a byte stream that is cut anywhere.
 *
 * A payload that came whole in one chunk points into the chunk; so chunks must not be reused by who pushes them. A payload in
 * pieces is put together once. One that is too long is counted and dropped without being held.
 */
export class FrameDecoder {
  readonly #header = new Uint8Array(headerLength);
  #headerFill = 0;
  #payload: Uint8Array | undefined;
  #payloadFill = 0;
  #skip = 0;

  /** Takes the next bytes, calls `onFrame` for each frame that they complete. */
  push(chunk: Uint8Array, onFrame: (frame: Frame) => void): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#payload === undefined) {
        if (this.#headerFill === 0 && chunk.length - at >= headerLength) {
          this.#header.set(chunk.subarray(at, at + headerLength));
          this.#headerFill = headerLength;
          at += headerLength;
        } else if (this.#headerFill < headerLength) {
          const taken = Math.min(headerLength - this.#headerFill, chunk.length - at);
          this.#header.set(chunk.subarray(at, at + taken), this.#headerFill);
          this.#headerFill += taken;
          at += taken;
          if (this.#headerFill < headerLength) return;
        }
        at = this.#begin(chunk, at, onFrame);
      } else {
        at = this.#fill(this.#payload, chunk, at, onFrame);
      }
    }
  }

  /** Behind a whole header: takes the payload if it is all there, else makes room for it. */
  #begin(chunk: Uint8Array, at: number, onFrame: (frame: Frame) => void): number {
    const length = readUint32(this.#header, 0);
    const oversize = length > maximumPayload;
    if (!oversize && chunk.length - at >= length) {
      this.#headerFill = 0;
      onFrame(this.#frame(viewOf(chunk, at, length)));
      return at + length;
    }
    this.#payload = oversize ? nothing : new Uint8Array(length);
    this.#payloadFill = 0;
    this.#skip = oversize ? length : 0;
    return this.#fill(this.#payload, chunk, at, onFrame);
  }

  #fill(payload: Uint8Array, chunk: Uint8Array, at: number, onFrame: (frame: Frame) => void): number {
    const length = this.#skip > 0 ? this.#skip : payload.length;
    const taken = Math.min(length - this.#payloadFill, chunk.length - at);
    if (this.#skip === 0) payload.set(chunk.subarray(at, at + taken), this.#payloadFill);
    this.#payloadFill += taken;
    if (this.#payloadFill === length) {
      const frame = this.#frame(payload, this.#skip);
      this.#payload = undefined;
      this.#headerFill = 0;
      onFrame(frame);
    }
    return at + taken;
  }

  #frame(payload: Uint8Array, oversize = 0): Frame {
    const frame = {
      streamId: readUint32(this.#header, 4),
      type: this.#header[8] ?? 0,
      flags: this.#header[9] ?? 0,
      payload,
    };
    return oversize > 0 ? { ...frame, oversize } : frame;
  }
}

const nothing = new Uint8Array(0);

/** A plain Uint8Array even of a Buffer, whose `slice` would share memory where a message's reader expects a copy. */
function viewOf(chunk: Uint8Array, at: number, length: number): Uint8Array {
  return length === 0 ? nothing : new Uint8Array(chunk.buffer, chunk.byteOffset + at, length);
}

function readUint32(bytes: Uint8Array, at: number): number {
  const [a = 0, b = 0, c = 0, d = 0] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}

function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}
