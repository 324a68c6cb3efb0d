import { crc32 } from "@hull/sys/hash";
import type { LoggedEvent } from "./index.ts";

/**
 * How an event stands in a segment. Numbers are little-endian.
 *
 *   u32 bytes of the body | u32 CRC-32 of the body | body:
 *     u64 sequence | i64 timestamp, ns | u16 bytes of namespace, of topic, of type URL | these three, UTF-8 | the event's value
 */

const headBytes = 8;
const fixedBytes = 22;

/** Longer ones are no record: an event came over gRPC, in a message of at most 16 MiB. */
const longestBody = 32 * 1024 * 1024;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The bytes of a record. */
export function encodeRecord({ sequence, timestamp, namespace, topic, event }: LoggedEvent): Uint8Array {
  const texts = [namespace, topic, event.typeUrl].map((text) => encoder.encode(text).subarray(0, 0xffff));
  const length = texts.reduce((sum, text) => sum + text.length, fixedBytes + event.value.length);
  const record = new Uint8Array(headBytes + length);
  const view = new DataView(record.buffer);
  view.setUint32(0, length, true);
  view.setBigUint64(headBytes, BigInt(sequence), true);
  view.setBigInt64(headBytes + 8, timestamp, true);
  let at = headBytes + fixedBytes;
  for (const [index, text] of texts.entries()) {
    view.setUint16(headBytes + 16 + 2 * index, text.length, true);
    record.set(text, at);
    at += text.length;
  }
  record.set(event.value, at);
  view.setUint32(4, crc32(record.subarray(headBytes)), true);
  return record;
}

/** The records of a segment in order, each with the offset behind it. Ends at the first that isn't whole: a crash cut it off. */
export function* decodeRecords(bytes: Uint8Array): Generator<{ event: LoggedEvent; end: number }> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + headBytes <= bytes.length; ) {
    const length = view.getUint32(at, true);
    const end = at + headBytes + length;
    if (length < fixedBytes || length > longestBody || end > bytes.length) return;
    const body = bytes.subarray(at + headBytes, end);
    if (crc32(body) !== view.getUint32(at + 4, true)) return;
    const event = decodeBody(body);
    if (event === undefined) return;
    yield { event, end };
    at = end;
  }
}

function decodeBody(body: Uint8Array): LoggedEvent | undefined {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const sequence = Number(view.getBigUint64(0, true));
  const lengths = [0, 1, 2].map((index) => view.getUint16(16 + 2 * index, true));
  if (!Number.isSafeInteger(sequence) || lengths.reduce((sum, length) => sum + length, fixedBytes) > body.length)
    return undefined;
  let at = fixedBytes;
  const [namespace = "", topic = "", typeUrl = ""] = lengths.map((length) => {
    at += length;
    return decoder.decode(body.subarray(at - length, at));
  });
  // A copy: the record's buffer is a whole segment's.
  return {
    sequence,
    timestamp: view.getBigInt64(8, true),
    namespace,
    topic,
    event: { typeUrl, value: body.slice(at) },
  };
}
