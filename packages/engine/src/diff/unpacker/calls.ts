/**
 * The system calls that every file of a layer costs, with as little as possible around them: paths go through one buffer that
 * is used again and again, and failures come back as error numbers, because "exists already" is an answer here.
 *
 * Paths count from the current directory, which is the root of the target.
 */

import { constants } from "node:fs";
import { arch } from "@hull/sys/arch";
import { SysError } from "@hull/sys/errno";
import { lastErrno, libc } from "@hull/sys/libc";
import type { TarTime } from "../tar/index.ts";
import { display } from "./paths.ts";

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const O_CLOEXEC = 0o2000000;

const createFlags = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | arch.O_NOFOLLOW | O_CLOEXEC;

const pathBuffer = Buffer.alloc(4096);
const secondPathBuffer = Buffer.alloc(4096);
/** Two struct timespec: access and modification. */
const times = new BigInt64Array(4);
const timesBytes = new Uint8Array(times.buffer);

/** The path, ended by a NUL. Valid until the next call for the same buffer. */
function cPath(path: string, buffer = pathBuffer): Buffer {
  const length = buffer.write(path === "" ? "." : path, "latin1");
  buffer[length] = 0;
  return buffer;
}

/** Makes a file that must not exist, not following a link at its place. The descriptor, or a negative error number. */
export function createFile(path: string, mode: number): number {
  const fd = libc.open(cPath(path), createFlags, mode);
  return fd >= 0 ? fd : -lastErrno();
}

/** Writes all bytes at the descriptor's position. @throws SysError */
export function writeAll(fd: number, bytes: Uint8Array, path: string): void {
  let rest = bytes;
  while (rest.length > 0) {
    const written = libc.write(fd, rest, rest.length);
    if (written === -1) throw new SysError(lastErrno(), "write", `"${display(path)}"`);
    if (written === rest.length) return;
    rest = rest.subarray(written);
  }
}

/** Moves the descriptor's position: what is left out becomes a hole. @throws SysError */
export function moveTo(fd: number, offset: number, path: string): void {
  if (libc.lseek(fd, offset, 0) === -1) throw new SysError(lastErrno(), "lseek", `"${display(path)}" to ${offset}`);
}

/** Makes a device node or FIFO; `type` is its part of a mode. 0, or a negative error number. */
export function createNode(path: string, type: number, mode: number, device: bigint): number {
  return libc.mknod(cPath(path), type | mode, device) === -1 ? -lastErrno() : 0;
}

/** Makes a hard link, of a symbolic link itself where that is what `target` names. 0, or a negative error number. */
export function createLink(target: string, path: string): number {
  const result = libc.linkat(AT_FDCWD, cPath(target), AT_FDCWD, cPath(path, secondPathBuffer), 0);
  return result === -1 ? -lastErrno() : 0;
}

/** Sets the owner, of a symbolic link itself. @throws SysError */
export function setOwner(path: string, uid: number, gid: number): void {
  if (libc.fchownat(AT_FDCWD, cPath(path), uid, gid, AT_SYMLINK_NOFOLLOW) === -1) {
    throw new SysError(lastErrno(), "chown", `"${display(path)}" to ${uid}:${gid}`);
  }
}

/** Sets both times, of a symbolic link itself. @throws SysError */
export function setTimes(path: string, access: TarTime, modification: TarTime): void {
  times[0] = BigInt(access.seconds);
  times[1] = BigInt(access.nanoseconds);
  times[2] = BigInt(modification.seconds);
  times[3] = BigInt(modification.nanoseconds);
  if (libc.utimensat(AT_FDCWD, cPath(path), timesBytes, AT_SYMLINK_NOFOLLOW) === -1) {
    throw new SysError(lastErrno(), "utimensat", `"${display(path)}"`);
  }
}
