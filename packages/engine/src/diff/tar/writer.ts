import type { EntryType, TarTime } from "./entry.ts";
import { blockSize, fields } from "./header.ts";
import { encodePax, formatPaxTime } from "./pax.ts";

/** What an entry to be written says. All but the name and type may be left out. */
export interface WritableEntry {
  readonly name: string | Uint8Array;
  readonly type: Exclude<EntryType, "other">;
  readonly linkName?: string | Uint8Array;
  /** Permission bits. Default: 0o755 for directories, 0o644 for all else. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Bytes that follow the header, for files. */
  readonly size?: number;
  /** Default: 1970. */
  readonly mtime?: TarTime;
  readonly atime?: TarTime;
  readonly deviceMajor?: number;
  readonly deviceMinor?: number;
  /** By name, as Latin-1. Written as `SCHILY.xattr.<name>`. */
  readonly xattrs?: ReadonlyMap<string, Uint8Array>;
}

const flags: Readonly<Record<WritableEntry["type"], string>> = {
  file: "0",
  hardlink: "1",
  symlink: "2",
  character: "3",
  block: "4",
  directory: "5",
  fifo: "6",
};

const epoch: TarTime = { seconds: 0, nanoseconds: 0 };

/** The two blocks of zeros that end an archive. */
export const endOfArchive: Uint8Array = new Uint8Array(2 * blockSize);

/** The zeros that fill the last block of a file of `size` bytes. */
export function paddingAfter(size: number): Uint8Array {
  return new Uint8Array((blockSize - (size % blockSize)) % blockSize);
}

/**
 * The header of an entry: ustar, preceded by a PAX extended header for whatever ustar can't say. Its file's bytes and
 * `paddingAfter` them are the caller's to write.
 */
export function encodeHeader(entry: WritableEntry): Uint8Array {
  const name = bytesOf(entry.name);
  const linkName = bytesOf(entry.linkName ?? "");
  const mtime = entry.mtime ?? epoch;
  const records: Uint8Array[] = [];
  const record = (key: string, value: string | Uint8Array) => records.push(encodePax(key, bytesOf(value)));

  const split = splitName(name);
  if (split === undefined) record("path", name);
  if (linkName.length > fields.linkName[1]) record("linkpath", linkName);
  for (const key of ["uid", "gid"] as const) {
    const id = entry[key] ?? 0;
    if (id > maximumOctal(fields[key][1])) record(key, String(id));
  }
  const size = entry.size ?? 0;
  if (size > maximumOctal(fields.size[1])) record("size", String(size));
  const plainTime = mtime.nanoseconds === 0 && mtime.seconds >= 0 && mtime.seconds <= maximumOctal(fields.mtime[1]);
  if (!plainTime) record("mtime", formatPaxTime(mtime));
  if (entry.atime !== undefined) record("atime", formatPaxTime(entry.atime));
  for (const [key, value] of entry.xattrs ?? []) record(`SCHILY.xattr.${key}`, value);

  const block = new Uint8Array(blockSize);
  const [prefix, rest] = split ?? [new Uint8Array(0), name.subarray(0, fields.name[1])];
  putBytes(block, "prefix", prefix);
  putBytes(block, "name", rest);
  putBytes(block, "linkName", linkName.subarray(0, fields.linkName[1]));
  putOctal(block, "mode", entry.mode ?? (entry.type === "directory" ? 0o755 : 0o644));
  putOctal(block, "uid", entry.uid ?? 0);
  putOctal(block, "gid", entry.gid ?? 0);
  putOctal(block, "size", size);
  putOctal(block, "mtime", Math.max(0, mtime.seconds));
  putOctal(block, "deviceMajor", entry.deviceMajor ?? 0);
  putOctal(block, "deviceMinor", entry.deviceMinor ?? 0);
  finishHeader(block, flags[entry.type]);
  if (records.length === 0) return block;

  const extension = Buffer.concat(records);
  const before = new Uint8Array(blockSize);
  putBytes(before, "name", Buffer.from("PaxHeaders/entry"));
  putOctal(before, "mode", 0o644);
  putOctal(before, "size", extension.length);
  finishHeader(before, "x");
  return Buffer.concat([before, extension, paddingAfter(extension.length), block]);
}

function bytesOf(text: string | Uint8Array): Uint8Array {
  return typeof text === "string" ? Buffer.from(text) : text;
}

/** Prefix and name as ustar has them; undefined if there is no place to cut. */
function splitName(name: Uint8Array): [prefix: Uint8Array, name: Uint8Array] | undefined {
  const [, nameLength] = fields.name;
  if (name.length <= nameLength) return [new Uint8Array(0), name];
  const slash = name.indexOf(0x2f, name.length - nameLength - 1);
  if (slash <= 0 || slash > fields.prefix[1] || slash === name.length - 1) return undefined;
  return [name.subarray(0, slash), name.subarray(slash + 1)];
}

/** The last byte of a number's field is a NUL. */
function maximumOctal(length: number): number {
  return 8 ** (length - 1) - 1;
}

function putBytes(block: Uint8Array, field: keyof typeof fields, bytes: Uint8Array): void {
  block.set(bytes, fields[field][0]);
}

/** What doesn't fit is in an extended header, and stands as 0 here. */
function putOctal(block: Uint8Array, field: keyof typeof fields, value: number): void {
  const [offset, length] = fields[field];
  const fitting = value <= maximumOctal(length) ? value : 0;
  block.set(Buffer.from(fitting.toString(8).padStart(length - 1, "0")), offset);
}

function finishHeader(block: Uint8Array, flag: string): void {
  block.set(Buffer.from(flag), fields.flag[0]);
  block.set(Buffer.from("ustar\x0000"), fields.magic[0]);
  block.set(Buffer.from("        "), fields.checksum[0]);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.set(Buffer.from(`${sum.toString(8).padStart(6, "0")}\0 `), fields.checksum[0]);
}
