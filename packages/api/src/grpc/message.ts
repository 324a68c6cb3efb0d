import { type HullError, internal, resourceExhausted } from "@hull/errors";

/**
 * Messages in the body of a gRPC call: one byte that says whether it is compressed, four of length (big endian), the message.
 *
 * See https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, "Length-Prefixed-Message".
 */

/** The longest message unless somebody sets another limit, both ways: 16 MiB, what containerd's servers and clients allow. */
export const maximumMessage = 16 * 1024 * 1024;

const prefixLength = 5;

/** What goes before a message of so many bytes. @throws ResourceExhausted if they are more than `limit` */
export function messagePrefix(length: number, limit = maximumMessage): Uint8Array {
  if (length > limit) throw tooLong("trying to send message", length, limit);
  return Uint8Array.of(0, length >>> 24, length >>> 16, length >>> 8, length);
}

/** Messages out of a body that is cut anywhere. A message that came whole points into its chunk. */
export class MessageDecoder {
  readonly #limit: number;
  /** A prefix that came in pieces. */
  #prefix: Uint8Array | undefined;
  #prefixFill = 0;
  /** Bytes of the message that the last prefix announced; -1 before it is whole. */
  #length = -1;
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
    while (at < chunk.length || this.#length === 0) {
      if (this.#length < 0) at = this.#takePrefix(chunk, at);
      if (this.#length < 0) return;
      const length = this.#length;
      if (this.#message === undefined && chunk.length - at >= length) {
        this.#length = -1;
        onMessage(new Uint8Array(chunk.buffer, chunk.byteOffset + at, length));
        at += length;
      } else {
        this.#message ??= new Uint8Array(length);
        at += this.#takeBody(this.#message, chunk, at);
        if (this.#messageFill < length) return;
        const message = this.#message;
        this.#message = undefined;
        this.#messageFill = 0;
        this.#length = -1;
        onMessage(message);
      }
    }
  }

  /** True between messages: a body that ends elsewhere was cut off. */
  get atBoundary(): boolean {
    return this.#length < 0 && this.#prefixFill === 0;
  }

  #takePrefix(chunk: Uint8Array, at: number): number {
    if (this.#prefixFill === 0 && chunk.length - at >= prefixLength) {
      this.#length = this.#lengthIn(chunk, at);
      return at + prefixLength;
    }
    const taken = Math.min(prefixLength - this.#prefixFill, chunk.length - at);
    this.#prefix ??= new Uint8Array(prefixLength);
    this.#prefix.set(chunk.subarray(at, at + taken), this.#prefixFill);
    this.#prefixFill += taken;
    if (this.#prefixFill === prefixLength) {
      this.#length = this.#lengthIn(this.#prefix, 0);
      this.#prefixFill = 0;
    }
    return at + taken;
  }

  #takeBody(message: Uint8Array, chunk: Uint8Array, at: number): number {
    const taken = Math.min(message.length - this.#messageFill, chunk.length - at);
    message.set(chunk.subarray(at, at + taken), this.#messageFill);
    this.#messageFill += taken;
    return taken;
  }

  #lengthIn(bytes: Uint8Array, at: number): number {
    if (bytes[at] !== 0) throw internal("grpc: a message is compressed, though no encoding was agreed on");
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(at + 1);
    if (length > this.#limit) throw tooLong("received message", length, this.#limit);
    return length;
  }
}

/** In the words of grpc-go, which clients look for. */
function tooLong(what: string, length: number, limit: number): HullError {
  return resourceExhausted(`grpc: ${what} larger than max (${length} vs. ${limit})`);
}
