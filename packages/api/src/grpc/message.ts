import { type HullError, internal, resourceExhausted } from "@hull/errors";

/**
 * Messages in the body of a gRPC call: one byte that says whether it is compressed, four of length (big endian), the message.
 *
 * See https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, "Length-Prefixed-Message".
 */

/** The longest message unless somebody sets another limit, both ways: 16 MiB, what containerd's servers and clients allow. */
export const maximumMessage = 16 * 1024 * 1024;

const prefixLength = 5;

/** A message with its prefix. @throws ResourceExhausted if it is longer than `limit` bytes. */
export function encodeMessageFrame(message: Uint8Array, limit = maximumMessage): Uint8Array {
  const { length } = message;
  if (length > limit) throw tooLong("trying to send message", length, limit);
  const frame = new Uint8Array(prefixLength + length);
  new DataView(frame.buffer).setUint32(1, length);
  frame.set(message, prefixLength);
  return frame;
}

/** Messages out of a body that is cut anywhere. A message that came whole points into its chunk. */
export class MessageDecoder {
  readonly #limit: number;
  readonly #prefix = new Uint8Array(prefixLength);
  #prefixFill = 0;
  #message: Uint8Array | undefined;
  #messageFill = 0;

  /** `limit`: the bytes that a message may have. */
  constructor(limit = maximumMessage) {
    this.#limit = limit;
  }

  /**
   * Takes the next bytes, calls `onMessage` for each message that they complete.
   *
   * @throws ResourceExhausted for a message that is too long, Internal for a compressed one: neither side of hull asks for any.
   */
  push(chunk: Uint8Array, onMessage: (message: Uint8Array) => void): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#prefixFill < prefixLength) at += this.#takePrefix(chunk, at);
      if (this.#prefixFill < prefixLength) return;
      const length = this.#length();
      if (this.#message === undefined && chunk.length - at >= length) {
        this.#prefixFill = 0;
        onMessage(new Uint8Array(chunk.buffer, chunk.byteOffset + at, length));
        at += length;
      } else {
        this.#message ??= new Uint8Array(length);
        at += this.#takeBody(this.#message, chunk, at);
        if (this.#messageFill < length) return;
        const message = this.#message;
        this.#message = undefined;
        this.#messageFill = 0;
        this.#prefixFill = 0;
        onMessage(message);
      }
    }
  }

  /** True between messages: a body that ends elsewhere was cut off. */
  get atBoundary(): boolean {
    return this.#prefixFill === 0;
  }

  #takePrefix(chunk: Uint8Array, at: number): number {
    const taken = Math.min(prefixLength - this.#prefixFill, chunk.length - at);
    this.#prefix.set(chunk.subarray(at, at + taken), this.#prefixFill);
    this.#prefixFill += taken;
    return taken;
  }

  #takeBody(message: Uint8Array, chunk: Uint8Array, at: number): number {
    const taken = Math.min(message.length - this.#messageFill, chunk.length - at);
    message.set(chunk.subarray(at, at + taken), this.#messageFill);
    this.#messageFill += taken;
    return taken;
  }

  #length(): number {
    if (this.#prefix[0] !== 0) throw internal("grpc: a message is compressed, though no encoding was agreed on");
    const length = new DataView(this.#prefix.buffer).getUint32(1);
    if (length > this.#limit) throw tooLong("received message", length, this.#limit);
    return length;
  }
}

/** In the words of grpc-go, which clients look for. */
function tooLong(what: string, length: number, limit: number): HullError {
  return resourceExhausted(`grpc: ${what} larger than max (${length} vs. ${limit})`);
}
