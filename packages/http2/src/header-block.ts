import { errorCodes, frameFlags } from "./codes.ts";
import { ConnectionError } from "./errors.ts";
import { paddingOf } from "./frame-reader.ts";
import { type DecodedBlock, HeaderDecoder } from "./hpack/decoder.ts";

/** Frames that a block may come in beside those that its bytes need: none is a reason for more. */
const spareFrames = 16;

/** A header block, and what its frames said beside. */
export interface StreamFields extends DecodedBlock {
  readonly streamId: number;
  readonly endStream: boolean;
}

/**
 * The header blocks that a peer sends, each in HEADERS and, if it is long, in CONTINUATION (RFC 9113, sections 4.3 and 6.10). Nothing
 * else may come between.
 */
export class HeaderBlocks {
  readonly #decoder: HeaderDecoder;
  /** Bytes of a block, over which the connection is ended: what isn't decoded is lost for those that follow. */
  readonly #limit: number;
  #open: { streamId: number; endStream: boolean } | undefined;
  #pieces: Uint8Array[] = [];
  #size = 0;

  /** @param largestList bytes of fields (section 6.5.2) */
  constructor(largestList: number) {
    this.#decoder = new HeaderDecoder(largestList);
    // A block that is decoded may be a little longer than its fields count, which then are too many.
    this.#limit = 2 * largestList;
  }

  /** True while CONTINUATION has to follow. */
  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  /** Takes HEADERS; gives the block if it is whole. @throws ConnectionError */
  headers(flags: number, streamId: number, bytes: Uint8Array, from: number, to: number): StreamFields | undefined {
    let begin = from;
    let end = to;
    if ((flags & frameFlags.padded) !== 0) {
      end -= paddingOf(bytes, from, to);
      begin++;
    }
    if ((flags & frameFlags.priority) !== 0) begin += 5;
    if (begin > end) throw new ConnectionError(errorCodes.frameSizeError, "HEADERS is too short");
    const endStream = (flags & frameFlags.endStream) !== 0;
    if ((flags & frameFlags.endHeaders) !== 0 && end - begin <= this.#limit) {
      return { streamId, endStream, ...this.#decoder.decode(bytes, begin, end) };
    }
    this.#open = { streamId, endStream };
    this.#add(bytes, begin, end);
    return undefined;
  }

  /** Takes CONTINUATION; gives the block if it is whole. @throws ConnectionError */
  continuation(flags: number, streamId: number, bytes: Uint8Array, from: number, to: number): StreamFields | undefined {
    const open = this.#open;
    if (open === undefined || open.streamId !== streamId) {
      throw new ConnectionError(errorCodes.protocolError, "CONTINUATION is of another stream");
    }
    this.#add(bytes, from, to);
    if ((flags & frameFlags.endHeaders) === 0) return undefined;
    const whole = Buffer.concat(this.#pieces);
    this.#open = undefined;
    this.#pieces = [];
    this.#size = 0;
    return { ...open, ...this.#decoder.decode(whole) };
  }

  #add(bytes: Uint8Array, from: number, to: number): void {
    this.#size += to - from;
    this.#pieces.push(bytes.slice(from, to));
    // No sender has to make frames of less than 16 KiB.
    const frames = spareFrames + this.#size / 1024;
    if (this.#size > this.#limit || this.#pieces.length > frames) {
      throw new ConnectionError(errorCodes.enhanceYourCalm, "a header block is too long");
    }
  }
}
