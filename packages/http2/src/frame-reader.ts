import { errorCodes, frameFlags, frameHeadLength, frameTypes } from "./codes.ts";
import { ConnectionError } from "./errors.ts";

/** Who takes frames. What it throws comes out of `push`. */
export interface FrameReceiver {
  /**
   * A piece of a DATA frame's content, which is the receiver's from now on.
   *
   * @param counted bytes that the windows are charged, padding included
   * @param endStream true with the last piece of a frame that ends its stream
   */
  data(streamId: number, content: Uint8Array, counted: number, endStream: boolean): void;
  /** Any other frame, whole: its payload is `bytes` from `from` to `to`, to be read at once. */
  frame(type: number, flags: number, streamId: number, bytes: Uint8Array, from: number, to: number): void;
}

/**
 * Frames out of bytes that are cut anywhere (RFC 9113, section 4.1). Content of DATA goes on as it comes, without being gathered or
 * copied; other frames are held until they are whole.
 */
export class FrameReader {
  readonly #receiver: FrameReceiver;
  readonly #largestFrame: number;
  readonly #head = new Uint8Array(frameHeadLength);
  #headFill = 0;
  #type = 0;
  #flags = 0;
  #streamId = 0;
  /** Bytes of the payload that are still to come; -1 between frames. */
  #missing = -1;
  /** A payload that came in pieces. */
  #payload: Uint8Array | undefined;
  #payloadFill = 0;

  /** @param largestFrame bytes of payload, as the settings that we sent say */
  constructor(receiver: FrameReceiver, largestFrame: number) {
    this.#receiver = receiver;
    this.#largestFrame = largestFrame;
  }

  /** Takes the next bytes. @throws ConnectionError for a frame that is too long, and what the receiver throws */
  push(chunk: Uint8Array): void {
    let at = 0;
    for (;;) {
      if (this.#missing < 0) {
        at = this.#takeHead(chunk, at);
        if (this.#missing < 0) return;
      }
      // Content that follows goes on as it is; its padding has to be known before.
      const direct = this.#type === frameTypes.data && (this.#flags & frameFlags.padded) === 0;
      if (at >= chunk.length && this.#missing > 0) return;
      at = direct ? this.#passData(chunk, at) : this.#takePayload(chunk, at);
      if (this.#missing >= 0) return;
    }
  }

  #takeHead(chunk: Uint8Array, at: number): number {
    let head = chunk;
    let from = at;
    let next = at + frameHeadLength;
    if (this.#headFill > 0 || next > chunk.length) {
      const taken = Math.min(frameHeadLength - this.#headFill, chunk.length - at);
      this.#head.set(chunk.subarray(at, at + taken), this.#headFill);
      this.#headFill += taken;
      if (this.#headFill < frameHeadLength) return at + taken;
      head = this.#head;
      from = 0;
      next = at + taken;
      this.#headFill = 0;
    }
    const length = (byte(head, from) << 16) | (byte(head, from + 1) << 8) | byte(head, from + 2);
    if (length > this.#largestFrame) {
      throw new ConnectionError(errorCodes.frameSizeError, `a frame of ${length} bytes was not allowed`);
    }
    this.#missing = length;
    this.#type = byte(head, from + 3);
    this.#flags = byte(head, from + 4);
    this.#streamId = uint32(head, from + 5) & 0x7fff_ffff;
    return next;
  }

  #passData(chunk: Uint8Array, at: number): number {
    const taken = Math.min(this.#missing, chunk.length - at);
    const last = taken === this.#missing;
    this.#missing = last ? -1 : this.#missing - taken;
    const content = new Uint8Array(chunk.buffer, chunk.byteOffset + at, taken);
    this.#receiver.data(this.#streamId, content, taken, last && (this.#flags & frameFlags.endStream) !== 0);
    return at + taken;
  }

  #takePayload(chunk: Uint8Array, at: number): number {
    const taken = Math.min(this.#missing, chunk.length - at);
    if (this.#payload === undefined && taken === this.#missing) {
      this.#missing = -1;
      this.#deliver(chunk, at, at + taken);
      return at + taken;
    }
    this.#payload ??= new Uint8Array(this.#missing);
    this.#payload.set(chunk.subarray(at, at + taken), this.#payloadFill);
    this.#payloadFill += taken;
    this.#missing -= taken;
    if (this.#missing > 0) return at + taken;
    const payload = this.#payload;
    this.#payload = undefined;
    this.#payloadFill = 0;
    this.#missing = -1;
    this.#deliver(payload, 0, payload.length);
    return at + taken;
  }

  #deliver(bytes: Uint8Array, from: number, to: number): void {
    if (this.#type !== frameTypes.data) {
      this.#receiver.frame(this.#type, this.#flags, this.#streamId, bytes, from, to);
      return;
    }
    const padding = paddingOf(bytes, from, to);
    const content = bytes.subarray(from + 1, to - padding);
    this.#receiver.data(this.#streamId, content, to - from, (this.#flags & frameFlags.endStream) !== 0);
  }
}

/** Bytes at the end of a padded payload that mean nothing; its first byte says how many (sections 6.1 and 6.2). */
export function paddingOf(bytes: Uint8Array, from: number, to: number): number {
  const padding = byte(bytes, from);
  if (from >= to || padding >= to - from) {
    throw new ConnectionError(errorCodes.protocolError, "a frame's padding is longer than the frame");
  }
  return padding;
}

const byte = (bytes: Uint8Array, at: number): number => bytes[at] ?? 0;

/** Four bytes as a number. */
export function uint32(bytes: Uint8Array, at: number): number {
  return (
    ((byte(bytes, at) << 24) | (byte(bytes, at + 1) << 16) | (byte(bytes, at + 2) << 8) | byte(bytes, at + 3)) >>> 0
  );
}
