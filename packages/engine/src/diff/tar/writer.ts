import { posix } from "node:path";
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
 * The header of an entry: ustar, or where that can't say it all, ustar preceded by a PAX extended header. Its file's bytes and
 * `paddingAfter` them are the caller's to write.
 *
 * Among the forms that the standard allows these are the ones that Go's archive/tar chooses: a layer of the same files then has
 * the same digest as containerd's.
 */
export function encodeHeader(entry: WritableEntry): Uint8Array {
  const name = bytesOf(entry.name);
  const linkName = bytesOf(entry.linkName ?? "");
  const mtime = entry.mtime ?? epoch;
  const records = new Map<string, Uint8Array>();
  const record = (key: string, value: string | Uint8Array) => records.set(key, bytesOf(value));

  for (const key of ["uid", "gid", "size"] as const) {
    const value = entry[key] ?? 0;
    if (value > maximumOctal(fields[key][1])) record(key, String(value));
  }
  if (linkName.length > fields.linkName[1] || !isAscii(linkName)) record("linkpath", linkName);
  const plainTime = mtime.nanoseconds === 0 && mtime.seconds >= 0 && mtime.seconds <= maximumOctal(fields.mtime[1]);
  if (!plainTime) record("mtime", formatPaxTime(mtime));
  if (entry.atime !== undefined) record("atime", formatPaxTime(entry.atime));
  for (const [key, value] of entry.xattrs ?? []) record(`SCHILY.xattr.${key}`, value);

  const isPlainName = name.length <= fields.name[1] && isAscii(name);
  // A prefix is for headers that need no extended one.
  const split = records.size === 0 && !isPlainName ? splitName(name) : undefined;
  if (!isPlainName && split === undefined) record("path", name);

  const block = new Uint8Array(blockSize);
  const [prefix, rest] = split ?? [new Uint8Array(0), name];
  putBytes(block, "prefix", prefix);
  putBytes(block, "name", rest);
  putBytes(block, "linkName", linkName);
  putOctal(block, "mode", entry.mode ?? (entry.type === "directory" ? 0o755 : 0o644));
  putOctal(block, "uid", entry.uid ?? 0);
  putOctal(block, "gid", entry.gid ?? 0);
  putOctal(block, "size", entry.size ?? 0);
  putOctal(block, "mtime", Math.max(0, mtime.seconds));
  putOctal(block, "deviceMajor", entry.deviceMajor ?? 0);
  putOctal(block, "deviceMinor", entry.deviceMinor ?? 0);
  finishHeader(block, flags[entry.type]);
  return records.size === 0 ? block : Buffer.concat([extendedHeader(name, records), block]);
}

/** An extended header with these records, by key, and a name that tells old programs whose it is. */
function extendedHeader(name: Uint8Array, records: ReadonlyMap<string, Uint8Array>): Uint8Array {
  const keys = [...records.keys()].sort();
  const content = Buffer.concat(keys.map((key) => encodePax(key, records.get(key) ?? new Uint8Array(0))));
  const path = Buffer.from(name).toString("latin1");
  const slash = path.lastIndexOf("/");
  const own = posix.join(path.slice(0, slash + 1), "PaxHeaders.0", path.slice(slash + 1));
  const block = new Uint8Array(blockSize);
  const shown = ascii(Buffer.from(own, "latin1")).subarray(0, fields.name[1]);
  putBytes(block, "name", Buffer.from(Buffer.from(shown).toString("latin1").replace(/\/+$/, "")));
  for (const field of ["mode", "uid", "gid", "mtime"] as const) putOctal(block, field, 0);
  putOctal(block, "size", content.length);
  finishHeader(block, "x");
  return Buffer.concat([block, content, paddingAfter(content.length)]);
}

function bytesOf(text: string | Uint8Array): Uint8Array {
  return typeof text === "string" ? Buffer.from(text) : text;
}

const isAscii = (bytes: Uint8Array) => bytes.every((byte) => byte < 0x80);

/** What old programs can read of a name. */
const ascii = (bytes: Uint8Array) => (isAscii(bytes) ? bytes : bytes.filter((byte) => byte < 0x80));

/** Prefix, as long as it can be, and name as ustar has them; undefined if there is no place to cut. */
function splitName(name: Uint8Array): [prefix: Uint8Array, name: Uint8Array] | undefined {
  if (!isAscii(name)) return undefined;
  const [, prefixLength] = fields.prefix;
  // A directory's slash at the end is no place to cut.
  const searched = name.length > prefixLength + 1 ? prefixLength + 1 : name.length - (name.at(-1) === 0x2f ? 1 : 0);
  const slash = name.subarray(0, searched).lastIndexOf(0x2f);
  const rest = name.length - slash - 1;
  if (slash <= 0 || rest > fields.name[1] || rest === 0) return undefined;
  return [name.subarray(0, slash), name.subarray(slash + 1)];
}

/** The last byte of a number's field is a NUL. */
function maximumOctal(length: number): number {
  return 8 ** (length - 1) - 1;
}

/** Puts what fits of a text, without the bytes that aren't ASCII: an extended header has the whole of it. */
function putBytes(block: Uint8Array, field: keyof typeof fields, bytes: Uint8Array): void {
  const [offset, length] = fields[field];
  const text = ascii(bytes);
  let end = Math.min(text.length, length);
  // A file that seems to end with a slash would be a directory to old programs.
  if (text.length > length) while (end > 0 && text[end - 1] === 0x2f) end--;
  block.set(text.subarray(0, end), offset);
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
