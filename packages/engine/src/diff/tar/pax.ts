/**
 * PAX extended headers: records `"<length> <key>=<value>\n"`, where the length counts the whole record
 * (POSIX.1-2017, pax, "pax Extended Header").
 */

import type { TarTime } from "./entry.ts";
import { damaged } from "./header.ts";

/** Records in order. Keys are Latin-1 (one character a byte); values stay bytes. A key may come more than once (GNU.sparse.*). */
export type PaxRecords = [key: string, value: Uint8Array][];

/** Takes the records of one extended header apart. @throws invalidArgument for what isn't a list of records */
export function parsePax(bytes: Uint8Array, position: number): PaxRecords {
  const records: PaxRecords = [];
  let at = 0;
  while (at < bytes.length) {
    let length = 0;
    let index = at;
    for (; index < bytes.length && bytes[index] !== 0x20; index++) {
      const digit = (bytes[index] ?? 0) - 0x30;
      if (digit < 0 || digit > 9 || index - at > 9) throw damaged(position, "an extended header's length is no number");
      length = length * 10 + digit;
    }
    const end = at + length;
    if (end > bytes.length || end <= index + 1 || bytes[end - 1] !== 0x0a) {
      throw damaged(position, "an extended header's record doesn't end where it says");
    }
    const equals = bytes.indexOf(0x3d, index + 1);
    if (equals === -1 || equals >= end) throw damaged(position, "an extended header's record has no =");
    if (equals === index + 1) throw damaged(position, "an extended header's record has no key");
    const key = Buffer.from(bytes.buffer, bytes.byteOffset + index + 1, equals - index - 1).toString("latin1");
    records.push([key, bytes.slice(equals + 1, end - 1)]);
    at = end;
  }
  return records;
}

/** One record in bytes. */
export function encodePax(key: string, value: Uint8Array): Uint8Array {
  const rest = Buffer.byteLength(key, "latin1") + value.length + 3;
  let length = rest + String(rest).length;
  if (String(length).length !== String(rest).length) length = rest + String(length).length;
  return Buffer.concat([Buffer.from(`${length} ${key}=`, "latin1"), value, Buffer.from("\n")]);
}

const asText = (value: Uint8Array) => Buffer.from(value.buffer, value.byteOffset, value.length).toString("latin1");

/** A record's whole number, 0 or more. */
export function paxNumber(key: string, value: Uint8Array, position: number): number {
  const digits = asText(value);
  const number = /^[0-9]{1,16}$/.test(digits) ? Number(digits) : Number.NaN;
  if (!Number.isSafeInteger(number)) throw damaged(position, `its ${key} is no sensible number`);
  return number;
}

/** A record's time: decimal seconds with any number of digits behind the point, cut to nanoseconds towards the past. */
export function paxTime(key: string, value: Uint8Array, position: number): TarTime {
  const match = /^(-?)([0-9]{1,15})(?:\.([0-9]*))?$/.exec(asText(value));
  if (match === null) throw damaged(position, `its ${key} is no time`);
  const [, sign = "", whole = "0", fraction = ""] = match;
  const seconds = Number(whole);
  const nanoseconds = Number(fraction.slice(0, 9).padEnd(9, "0"));
  if (sign === "") return { seconds, nanoseconds };
  if (nanoseconds === 0) return { seconds: seconds === 0 ? 0 : -seconds, nanoseconds: 0 };
  return { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds };
}

/** A time as a record has it. */
export function formatPaxTime({ seconds, nanoseconds }: TarTime): string {
  if (nanoseconds === 0) return String(seconds);
  const digits = (value: number) => String(value).padStart(9, "0").replace(/0+$/, "");
  if (seconds >= 0) return `${seconds}.${digits(nanoseconds)}`;
  return `-${-seconds - 1}.${digits(1_000_000_000 - nanoseconds)}`;
}

/**
 * The name of an extended attribute, if the record is one: `SCHILY.xattr.<name>` with the value as it is, or
 * `LIBARCHIVE.xattr.<percent-encoded name>` with the value in base64.
 */
export function xattrOf(key: string, value: Uint8Array): [name: string, value: Uint8Array] | undefined {
  if (key.startsWith("SCHILY.xattr.")) return [key.slice("SCHILY.xattr.".length), value];
  if (!key.startsWith("LIBARCHIVE.xattr.")) return undefined;
  const name = key
    .slice("LIBARCHIVE.xattr.".length)
    .replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return [name, Buffer.from(asText(value), "base64")];
}
