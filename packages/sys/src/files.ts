/** What node:fs lacks for files: extended attributes, device nodes, exact times, renames and links by flag. */

import { invalidArgument } from "@hull/errors";
import { syscalls } from "./arch.ts";
import { errno, SysError } from "./errno.ts";
import { asBytes } from "./fd.ts";
import { lastErrno, libc } from "./libc.ts";
import type { Path } from "./strings.ts";
import { cString, display } from "./strings.ts";

export type { Path } from "./strings.ts";

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_SYMLINK_FOLLOW = 0x400;

/** Makes a FIFO; the process's umask applies to `mode`. */
export function makeFifo(path: Path, mode = 0o600): void {
  if (libc.mkfifo(cString(path), mode) === -1) throw new SysError(lastErrno(), "mkfifo", `"${display(path)}"`);
}

/** A device's number as stat and mknod have it (glibc's 64-bit form, bits/sysmacros.h). */
export function makeDevice(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return (low & 0xffn) | ((high & 0xfffn) << 8n) | ((low & ~0xffn) << 12n) | ((high & ~0xfffn) << 32n);
}

/** The major and minor number in a device's number. */
export function splitDevice(device: bigint): { major: number; minor: number } {
  return {
    major: Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n)),
    minor: Number((device & 0xffn) | ((device >> 12n) & 0xffffff00n)),
  };
}

const nodeTypes = { fifo: 0o010000, character: 0o020000, block: 0o060000, file: 0o100000, socket: 0o140000 } as const;

/** Makes a node of any kind but directory and link. `device` counts for devices only; the umask applies to `mode`. */
export function makeNode(path: Path, kind: keyof typeof nodeTypes, mode: number, device: bigint = 0n): void {
  if (libc.mknod(cString(path), nodeTypes[kind] | (mode & 0o7777), device) === -1) {
    throw new SysError(lastErrno(), "mknod", `"${display(path)}" (${kind})`);
  }
}

/** A time in nanoseconds since 1970, "now", or "omit" to leave it as it is. */
export type FileTime = bigint | "now" | "omit";

const UTIME_NOW = 0x3fffffffn;
const UTIME_OMIT = 0x3ffffffen;

/** Sets access and modification time, to the nanosecond; of a symbolic link itself unless `follow`. */
export function setTimes(
  path: Path,
  access: FileTime,
  modification: FileTime,
  options: { follow?: boolean } = {},
): void {
  const times = asBytes(new BigInt64Array([...timespec(access), ...timespec(modification)]));
  if (libc.utimensat(AT_FDCWD, cString(path), times, options.follow ? 0 : AT_SYMLINK_NOFOLLOW) === -1) {
    throw new SysError(lastErrno(), "utimensat", `"${display(path)}"`);
  }
}

function timespec(time: FileTime): [seconds: bigint, nanoseconds: bigint] {
  if (time === "now") return [0n, UTIME_NOW];
  if (time === "omit") return [0n, UTIME_OMIT];
  const billion = 1_000_000_000n;
  const nanoseconds = ((time % billion) + billion) % billion;
  return [(time - nanoseconds) / billion, nanoseconds];
}

/** Sets the owner; of a symbolic link itself unless `follow`. */
export function setOwner(path: Path, user: number, group: number, options: { follow?: boolean } = {}): void {
  if (libc.fchownat(AT_FDCWD, cString(path), user, group, options.follow ? 0 : AT_SYMLINK_NOFOLLOW) === -1) {
    throw new SysError(lastErrno(), "fchownat", `"${display(path)}" to ${user}:${group}`);
  }
}

/** Makes a hard link. Of a symbolic link itself unless `follow`. */
export function hardLink(existing: Path, path: Path, options: { follow?: boolean } = {}): void {
  const flags = options.follow ? AT_SYMLINK_FOLLOW : 0;
  if (libc.linkat(AT_FDCWD, cString(existing), AT_FDCWD, cString(path), flags) === -1) {
    throw new SysError(lastErrno(), "linkat", `"${display(existing)}" as "${display(path)}"`);
  }
}

const renameFlags = { noReplace: 1, exchange: 2, whiteout: 4 } as const;

/** Renames in one step: without replacing what is there, or changing places with it. @throws SysError EEXIST */
export function rename(from: Path, to: Path, how: keyof typeof renameFlags): void {
  const [source, target] = [cString(from), cString(to)];
  if (libc.renameat2(syscalls.renameat2, AT_FDCWD, source, AT_FDCWD, target, renameFlags[how]) === -1) {
    throw new SysError(lastErrno(), "renameat2", `"${display(from)}" to "${display(to)}"`);
  }
}

/** Frees the blocks behind part of a file; it reads as zeros, and the size stays. */
export function punchHole(fd: number, offset: number, length: number): void {
  const KEEP_SIZE_AND_PUNCH = 3;
  if (libc.fallocate(fd, KEEP_SIZE_AND_PUNCH, offset, length) === -1) {
    throw new SysError(lastErrno(), "fallocate", `hole of ${length} bytes at ${offset} in descriptor ${fd}`);
  }
}

/** Reserves blocks for part of a file, and makes it as long as that. */
export function allocate(fd: number, offset: number, length: number): void {
  if (libc.fallocate(fd, 0, offset, length) === -1) {
    throw new SysError(lastErrno(), "fallocate", `${length} bytes at ${offset} of descriptor ${fd}`);
  }
}

/** The next data, or hole, at or after `offset`; undefined when there is none before the end. */
export function seek(fd: number, to: "data" | "hole", offset: number): number | undefined {
  const position = libc.lseek(fd, offset, to === "data" ? 3 : 4);
  if (position !== -1) return position;
  const error = lastErrno();
  if (error === errno.ENXIO) return undefined;
  throw new SysError(error, "lseek", `to ${to} at ${offset} of descriptor ${fd}`);
}

/** A file by path (a symbolic link is not followed), or by descriptor. */
export type FileReference = Path | number;

/** An extended attribute's value; undefined if the file has none of that name. */
export function getAttribute(file: FileReference, name: string): Uint8Array | undefined {
  const key = cString(name);
  const bytes = sized((into) =>
    typeof file === "number"
      ? libc.fgetxattr(file, key, into, into.length)
      : libc.lgetxattr(cString(file), key, into, into.length),
  );
  if (bytes instanceof Uint8Array) return bytes;
  if (bytes === errno.ENODATA) return undefined;
  throw new SysError(bytes, "getxattr", `"${name}" of ${describe(file)}`);
}

/** The names of a file's extended attributes. Those of the "trusted" class show to privileged processes only. */
export function listAttributes(file: FileReference): string[] {
  const bytes = sized((into) =>
    typeof file === "number"
      ? libc.flistxattr(file, into, into.length)
      : libc.llistxattr(cString(file), into, into.length),
  );
  if (!(bytes instanceof Uint8Array)) throw new SysError(bytes, "listxattr", `of ${describe(file)}`);
  return new TextDecoder()
    .decode(bytes)
    .split("\0")
    .filter((name) => name !== "");
}

/** Sets an extended attribute, new or not. */
export function setAttribute(file: FileReference, name: string, value: Uint8Array): void {
  const key = cString(name);
  const result =
    typeof file === "number"
      ? libc.fsetxattr(file, key, value, value.length, 0)
      : libc.lsetxattr(cString(file), key, value, value.length, 0);
  if (result === -1) throw new SysError(lastErrno(), "setxattr", `"${name}" of ${describe(file)}`);
}

/** Removes an extended attribute. @returns false if there was none of that name. */
export function removeAttribute(file: FileReference, name: string): boolean {
  const key = cString(name);
  const result = typeof file === "number" ? libc.fremovexattr(file, key) : libc.lremovexattr(cString(file), key);
  if (result !== -1) return true;
  const error = lastErrno();
  if (error === errno.ENODATA) return false;
  throw new SysError(error, "removexattr", `"${name}" of ${describe(file)}`);
}

/** Calls with a buffer that is most often large enough, and again with a larger one; an error number if it fails. */
function sized(call: (into: Uint8Array) => number): Uint8Array | number {
  for (let size = 256; size <= 1 << 17; size *= 8) {
    const into = new Uint8Array(size);
    const count = call(into);
    if (count !== -1) return into.subarray(0, count);
    const error = lastErrno();
    if (error !== errno.ERANGE) return error;
  }
  return errno.ERANGE;
}

function describe(file: FileReference): string {
  return typeof file === "number" ? `descriptor ${file}` : `"${display(file)}"`;
}

/** Sets the process's mode mask, and returns the one before. */
export function umask(mask: number): number {
  if (!Number.isInteger(mask) || mask < 0 || mask > 0o777) throw invalidArgument(`${mask} is not a mode mask`);
  return process.umask(mask);
}
