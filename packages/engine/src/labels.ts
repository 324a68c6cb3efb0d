/** Labels of any record: short texts by key. A key and its value are together at most 4096 bytes; an empty value deletes. */
export type Labels = Readonly<Record<string, string>>;

/** A point in time: nanoseconds since 1970 UTC. */
export type Nanoseconds = bigint;

/** A protobuf Any as stored and returned unchanged: bare full type name and bytes. */
export interface TypedBytes {
  typeUrl: string;
  value: Uint8Array;
}
