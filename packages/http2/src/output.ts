import { frameFlags, frameHeadLength, frameTypes } from "./codes.ts";
import type { FieldList } from "./fields.ts";
import { HeaderEncoder } from "./hpack/encoder.ts";
import { settingLength } from "./settings.ts";

/** Bytes of a buffer for what isn't content. */
const smallBuffer = 4096;

/** A buffer of its own memory. */
type Buffered = Uint8Array<ArrayBuffer>;

/** Frames on their way out, gathered in one buffer (RFC 9113, section 6). */
export class Output {
  #bytes = new Uint8Array(smallBuffer);
  #length = 0;
  readonly #encoder = new HeaderEncoder();

  /** Bytes that wait. */
  get length(): number {
    return this.#length;
  }

  /** Bytes that fit without growing. */
  get room(): number {
    return this.#bytes.length - this.#length;
  }

  /** Bytes of the buffer. */
  get capacity(): number {
    return this.#bytes.length;
  }

  /** What waits. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Forgets what has been written, and goes on in the same buffer. */
  clear(): void {
    this.#length = 0;
  }

  /** Goes on in another buffer, with what waits at its beginning; gives back the one that was used. */
  use(buffer: Buffered): Buffered {
    const before = this.#bytes;
    buffer.set(this.view());
    this.#bytes = buffer;
    return before;
  }

  /** As `use`, but leaves what waits behind in the buffer that it gives back: somebody else writes it. */
  leave(buffer: Buffered = new Uint8Array(smallBuffer)): Buffered {
    const before = this.#bytes;
    this.#bytes = buffer;
    this.#length = 0;
    return before;
  }

  raw(bytes: Uint8Array): void {
    this.#ensure(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  limitTable(bytes: number): void {
    this.#encoder.limitTable(bytes);
  }

  /** HEADERS, with CONTINUATION behind it if the block is longer than a frame may be. */
  headers(streamId: number, fields: FieldList, endStream: boolean, largestFrame: number): void {
    const room = HeaderEncoder.room(fields);
    this.#ensure(frameHeadLength + room);
    const begin = this.#length + frameHeadLength;
    const end = this.#encoder.encode(fields, this.#bytes, begin);
    const flags = endStream ? frameFlags.endStream : 0;
    if (end - begin <= largestFrame) {
      this.head(end - begin, frameTypes.headers, flags | frameFlags.endHeaders, streamId);
      this.#length = end;
      return;
    }
    // Copied out and in again: the heads of the frames have to come between. Hardly any block is so long.
    const block = this.#bytes.slice(begin, end);
    for (let at = 0; at < block.length; at += largestFrame) {
      const piece = block.subarray(at, at + largestFrame);
      const last = at + largestFrame >= block.length ? frameFlags.endHeaders : 0;
      this.#ensure(frameHeadLength + piece.length);
      if (at === 0) this.head(piece.length, frameTypes.headers, flags | last, streamId);
      else this.head(piece.length, frameTypes.continuation, last, streamId);
      this.raw(piece);
    }
  }

  /** The head of a frame; the payload follows by `raw`. */
  head(length: number, type: number, flags: number, streamId: number): void {
    this.#ensure(frameHeadLength);
    const bytes = this.#bytes;
    const at = this.#length;
    bytes[at] = length >>> 16;
    bytes[at + 1] = length >>> 8;
    bytes[at + 2] = length;
    bytes[at + 3] = type;
    bytes[at + 4] = flags;
    this.#length = at + 5;
    this.#uint32(streamId);
  }

  /** @param settings numbers and values in turn */
  settings(settings: readonly number[]): void {
    this.head((settings.length / 2) * settingLength, frameTypes.settings, 0, 0);
    this.#ensure(settings.length * settingLength);
    for (let at = 0; at < settings.length; at += 2) {
      this.#bytes[this.#length++] = 0;
      this.#bytes[this.#length++] = settings[at] ?? 0;
      this.#uint32(settings[at + 1] ?? 0);
    }
  }

  settingsAck(): void {
    this.head(0, frameTypes.settings, frameFlags.ack, 0);
  }

  pingAck(payload: Uint8Array): void {
    this.head(payload.length, frameTypes.ping, frameFlags.ack, 0);
    this.raw(payload);
  }

  rstStream(streamId: number, code: number): void {
    this.head(4, frameTypes.rstStream, 0, streamId);
    this.#ensure(4);
    this.#uint32(code);
  }

  windowUpdate(streamId: number, increment: number): void {
    this.head(4, frameTypes.windowUpdate, 0, streamId);
    this.#ensure(4);
    this.#uint32(increment);
  }

  /** @param reason for whoever debugs the peer */
  goaway(lastStreamId: number, code: number, reason: string): void {
    const text = new TextEncoder().encode(reason);
    this.head(8 + text.length, frameTypes.goaway, 0, 0);
    this.#ensure(8);
    this.#uint32(lastStreamId);
    this.#uint32(code);
    this.raw(text);
  }

  #uint32(value: number): void {
    const bytes = this.#bytes;
    const at = this.#length;
    bytes[at] = value >>> 24;
    bytes[at + 1] = value >>> 16;
    bytes[at + 2] = value >>> 8;
    bytes[at + 3] = value;
    this.#length = at + 4;
  }

  #ensure(more: number): void {
    if (this.room >= more) return;
    const grown = new Uint8Array(Math.max(2 * this.#bytes.length, this.#length + more));
    grown.set(this.view());
    this.#bytes = grown;
  }
}
