import type { MessageCodec, MessageOf, PartialOf } from "@hull/api/rpc";
import { alreadyEncoded } from "@hull/api/steps";
import { Writer } from "@hull/api/writer";
import { Pace } from "./pace.ts";

/** How the items of a list are encoded. */
interface Encoding<T, C extends MessageCodec<unknown>> {
  readonly codec: C;
  /** A message with one item in its list. */
  readonly message: (item: T) => MessageOf<C>;
  /** What is another value whenever the item's message is another. */
  readonly version: (item: T) => unknown;
}

/**
 * Answers that list much and change little, which the kubelet asks for every second: an item is encoded once and again when it has changed,
 * and where none has, the last answer's bytes are the next one's.
 */
export class EncodedList<T extends object, C extends MessageCodec<unknown>> {
  readonly #encoding: Encoding<T, C>;
  readonly #known = new WeakMap<T, { readonly version: unknown; readonly bytes: Uint8Array }>();
  #last: { readonly parts: readonly Uint8Array[]; readonly bytes: Uint8Array } = { parts: [], bytes: new Uint8Array() };

  constructor(encoding: Encoding<T, C>) {
    this.#encoding = encoding;
  }

  /** The answer with these items. */
  async answer(items: readonly T[]): Promise<PartialOf<C>> {
    const parts: Uint8Array[] = [];
    const pace = new Pace();
    for (const [index, item] of items.entries()) {
      parts.push(this.#bytesOf(item));
      if (index % 16 === 15 && pace.due) await pace.rest();
    }
    const last = this.#last;
    const isSame = parts.length === last.parts.length && parts.every((part, index) => part === last.parts[index]);
    if (!isSame) this.#last = { parts, bytes: Buffer.concat(parts) };
    return alreadyEncoded<C>(this.#last.bytes);
  }

  #bytesOf(item: T): Uint8Array {
    const { codec, message, version } = this.#encoding;
    const current = version(item);
    const known = this.#known.get(item);
    if (known !== undefined && known.version === current) return known.bytes;
    const writer = new Writer();
    codec.encode(message(item), writer);
    const bytes = writer.finish();
    this.#known.set(item, { version: current, bytes });
    return bytes;
  }
}
