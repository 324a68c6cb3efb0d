import type { MessageCodec } from "./rpc.ts";
import { Writer } from "./writer.ts";

/** Bytes from which on a field is handed over as it is. */
const large = 4096;

/**
 * Encodes a message whose large `bytes` fields are not copied: they stand as parts of their own between the others.
 *
 * Only at the message's top, where the content of blobs is: what is inside another message has its length before it, and so is gathered.
 */
class PartsWriter extends Writer {
  readonly #parts: Uint8Array[] = [];
  #depth = 0;

  override fork(): this {
    this.#depth++;
    return super.fork();
  }

  override join(): this {
    this.#depth--;
    return super.join();
  }

  override raw(chunk: Uint8Array): this {
    if (this.#depth > 0 || chunk.length < large) return super.raw(chunk);
    this.#parts.push(super.finish(), chunk);
    return this;
  }

  /** All parts, in their order. */
  parts(): Uint8Array[] {
    const rest = super.finish();
    if (rest.length > 0) this.#parts.push(rest);
    return this.#parts;
  }
}

/** The parts of an encoded message that may leave fields out; some may point into the message. */
export function encodeParts(codec: MessageCodec<unknown>, message: unknown): Uint8Array[] {
  const writer = new PartsWriter();
  codec.encode(codec.fromPartial(message as never), writer);
  return writer.parts();
}
