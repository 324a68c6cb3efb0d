/** Values as containerd writes them into its database: Go's encodings. */

import { Any } from "@hull/api/gen/google/protobuf/any";
import type { Nanoseconds, TypedBytes } from "../labels.ts";
import { damaged } from "./bolt/page.ts";

/** Seconds from the year 1, which Go counts from, to 1970. */
const secondsToUnix = 62_135_596_800n;

/** A time. Source: Go's time.Time, MarshalBinary: version, 8 bytes of seconds since the year 1, 4 of nanoseconds, the zone's offset. */
export function goTime(bytes: Uint8Array | undefined): Nanoseconds {
  if (bytes === undefined) return 0n;
  const [version] = bytes;
  if (bytes.length < 15 || (version !== 1 && version !== 2)) throw damaged("a time is none of Go's");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return (view.getBigInt64(1) - secondsToUnix) * 1_000_000_000n + BigInt(view.getInt32(9));
}

/** An unsigned number. Source: Go's encoding/binary, PutUvarint: seven bits a byte, the lowest first. */
export function goUnsigned(bytes: Uint8Array | undefined): number {
  let value = 0n;
  let shift = 0n;
  for (const byte of bytes ?? []) {
    value |= BigInt(byte & 0x7f) << shift;
    shift += 7n;
    if (byte < 0x80) return safe(value);
  }
  if (bytes === undefined || bytes.length === 0) return 0;
  throw damaged("a number is cut off");
}

/** A number with a sign. Source: Go's encoding/binary, PutVarint: zigzag, then as unsigned. */
export function goSigned(bytes: Uint8Array | undefined): number {
  const zigzag = BigInt(goUnsigned(bytes));
  return Number((zigzag & 1n) === 1n ? -((zigzag + 1n) >> 1n) : zigzag >> 1n);
}

/** A typed value; undefined if there is none. */
export function typedValue(bytes: Uint8Array | undefined): TypedBytes | undefined {
  if (bytes === undefined) return undefined;
  try {
    const { typeUrl, value } = Any.decode(bytes);
    return { typeUrl, value };
  } catch (error) {
    throw damaged(`a typed value can't be decoded (${error instanceof Error ? error.message : error})`);
  }
}

function safe(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged("a number is too large");
  return Number(value);
}
