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

/** An answer, and what it was made of. */
interface Answer<T> {
  readonly items: readonly T[];
  readonly versions: readonly unknown[];
  readonly bytes: Uint8Array;
}

/**
 * Answers that list much and change little, which the kubelet asks for every second: an item is encoded once and again when it has changed,
 * and where none has, the last answer's bytes are the next one's.
 */
export class EncodedList<T extends object, C extends MessageCodec<unknown>> {
  readonly #encoding: Encoding<T, C>;
  readonly #known = new WeakMap<T, { readonly version: unknown; readonly bytes: Uint8Array }>();
  #last: Answer<T> = { items: [], versions: [], bytes: new Uint8Array() };

  constructor(encoding: Encoding<T, C>) {
    this.#encoding = encoding;
  }

  /** The answer with these items. */
  async answer(items: readonly T[]): Promise<PartialOf<C>> {
    if (!this.#isLast(items)) this.#last = await this.#made(items);
    return alreadyEncoded<C>(this.#last.bytes);
  }

  #isLast(items: readonly T[]): boolean {
    const { items: before, versions } = this.#last;
    const { version } = this.#encoding;
    if (items.length !== before.length) return false;
    for (let index = 0; index < items.length; index++) {
      const item = items[index];
      if (item === undefined || item !== before[index] || version(item) !== versions[index]) return false;
    }
    return true;
  }

  async #made(items: readonly T[]): Promise<Answer<T>> {
    const parts: Uint8Array[] = [];
    const versions: unknown[] = [];
    const pace = new Pace();
    for (const [index, item] of items.entries()) {
      const { version, bytes } = this.#encoded(item);
      versions.push(version);
      parts.push(bytes);
      if (index % 16 === 15 && pace.due) await pace.rest();
    }
    return { items, versions, bytes: Buffer.concat(parts) };
  }

  #encoded(item: T): { readonly version: unknown; readonly bytes: Uint8Array } {
    const { codec, message, version } = this.#encoding;
    const current = version(item);
    const known = this.#known.get(item);
    if (known !== undefined && known.version === current) return known;
    const writer = new Writer();
    codec.encode(message(item), writer);
    const encoded = { version: current, bytes: writer.finish() };
    this.#known.set(item, encoded);
    return encoded;
  }
}
