import { setImmediate } from "node:timers/promises";
import type { MessageCodec, MessageOf, PartialOf } from "./rpc.ts";
import { Writer } from "./writer.ts";

/** Messages that stand for bytes. */
const encoded = new WeakMap<object, Uint8Array>();

/** ms of work before others get their turn. */
const stepMs = 4;

/**
 * A long message, encoded without keeping others waiting: `parts` are whole messages of its type whose bytes make up its own, one after
 * the other. For repeated fields it is so: bytes of two messages together are the message with both their elements
 * (https://protobuf.dev/programming-guides/encoding/#last-one-wins).
 *
 * @returns what a handler gives as its answer; it has no fields to be read
 */
export async function encodedInSteps<C extends MessageCodec<unknown>>(
  codec: C,
  parts: Iterable<MessageOf<C>>,
): Promise<PartialOf<C>> {
  const writer = new Writer();
  let began = performance.now();
  for (const part of parts) {
    codec.encode(part, writer);
    if (performance.now() - began < stepMs) continue;
    await setImmediate();
    began = performance.now();
  }
  return alreadyEncoded<C>(writer.finish());
}

/** As `encodedInSteps`, of the bytes of a whole message. They must not change any more. */
export function alreadyEncoded<C extends MessageCodec<unknown>>(bytes: Uint8Array): PartialOf<C> {
  const answer = {};
  encoded.set(answer, bytes);
  return answer as PartialOf<C>;
}

/** The bytes of a message that `encodedInSteps` made; undefined for any other. */
export function bytesOf(message: unknown): Uint8Array | undefined {
  return typeof message === "object" && message !== null ? encoded.get(message) : undefined;
}

/** The elements of a list, so many at a time. */
export function* pagesOf<T>(all: readonly T[], size = 128): Generator<T[], void> {
  for (let from = 0; from < all.length; from += size) yield all.slice(from, from + size);
}
