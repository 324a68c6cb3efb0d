import { errorCodes } from "./codes.ts";
import { ConnectionError } from "./errors.ts";

/** Frames that a block may come in beside those that its bytes need: none is a reason for more. */
const spareFrames = 16;

/** A header block that comes in HEADERS and CONTINUATION (RFC 9113, section 4.3). */
export class HeaderBlock {
  readonly streamId: number;
  readonly endStream: boolean;
  readonly #limit: number;
  readonly #pieces: Uint8Array[] = [];
  #size = 0;

  /** @param limit bytes of the block, over which the connection is ended: what isn't decoded is lost for those that follow */
  constructor(streamId: number, endStream: boolean, limit: number) {
    this.streamId = streamId;
    this.endStream = endStream;
    this.#limit = limit;
  }

  /** @throws ConnectionError if it gets too long, or comes in needlessly many pieces */
  add(bytes: Uint8Array, from: number, to: number): void {
    this.#size += to - from;
    this.#pieces.push(bytes.slice(from, to));
    // No sender has to make frames of less than 16 KiB.
    const frames = spareFrames + this.#size / 1024;
    if (this.#size > this.#limit || this.#pieces.length > frames) {
      throw new ConnectionError(errorCodes.enhanceYourCalm, "a header block is too long");
    }
  }

  whole(): Uint8Array {
    const whole = new Uint8Array(this.#size);
    let at = 0;
    for (const piece of this.#pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }
}
