/** File descriptors: opening, copying, flags, and data between them. Everything opened here is closed on exec. */

import { arch } from "./arch.ts";
import { errno, SysError } from "./errno.ts";
import { lastErrno, libc } from "./libc.ts";
import type { Path } from "./strings.ts";
import { cString, display } from "./strings.ts";

/** Flags of open(2) (include/uapi/asm-generic/fcntl.h), right for this processor. Combine with `|`. */
export const openFlags = {
  readOnly: 0,
  writeOnly: 1,
  readWrite: 2,
  create: 0o100,
  exclusive: 0o200,
  truncate: 0o1000,
  append: 0o2000,
  noControllingTerminal: 0o400,
  nonBlocking: 0o4000,
  directory: arch.O_DIRECTORY,
  noFollow: arch.O_NOFOLLOW,
  direct: arch.O_DIRECT,
  path: 0o10000000,
} as const;

export const O_CLOEXEC = 0o2000000;
const F_DUPFD_CLOEXEC = 1030;
const F_GETFD = 1;
const F_SETFD = 2;
const F_GETFL = 3;
const F_SETFL = 4;
const F_SETPIPE_SZ = 1031;
const F_GETPIPE_SZ = 1032;
const FD_CLOEXEC = 1;

/** A descriptor with an owner: closed at the end of a `using` scope unless released before. */
export class Descriptor implements Disposable {
  #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** The number; -1 when it is closed or released. */
  get fd(): number {
    return this.#fd;
  }

  /** Hands the descriptor to the caller, who must close it. */
  release(): number {
    const fd = this.#fd;
    this.#fd = -1;
    return fd;
  }

  [Symbol.dispose](): void {
    if (this.#fd >= 0) close(this.release());
  }
}

/**
 * Opens a file, closed on exec. Blocks where open(2) does: on a FIFO without a peer unless `nonBlocking` or `readWrite`.
 *
 * @throws SysError with open's error number.
 */
export function open(path: Path, flags: number, mode = 0o666): number {
  const name = cString(path);
  for (;;) {
    const fd = libc.open(name, flags | O_CLOEXEC, mode);
    if (fd !== -1) return fd;
    const error = lastErrno();
    if (error !== errno.EINTR) throw new SysError(error, "open", `"${display(path)}"`);
  }
}

/** Closes a descriptor. Closing one that isn't open is an error in the program, and throws. */
export function close(fd: number): void {
  // Linux frees the number even when close reports EINTR or EIO: a second try could close someone else's.
  if (libc.close(fd) === -1) throw new SysError(lastErrno(), "close", `descriptor ${fd}`);
}

/** A copy of `fd`, at least `minimum`, closed on exec. */
export function duplicate(fd: number, minimum = 3): number {
  const copy = libc.fcntl(fd, F_DUPFD_CLOEXEC, minimum);
  if (copy === -1) throw new SysError(lastErrno(), "fcntl", `F_DUPFD_CLOEXEC of descriptor ${fd}`);
  return copy;
}

/** Makes `to` a copy of `from`, whatever it was before. */
export function duplicateTo(from: number, to: number, options: { inheritable?: boolean } = {}): void {
  if (libc.dup3(from, to, options.inheritable ? 0 : O_CLOEXEC) === -1) {
    throw new SysError(lastErrno(), "dup3", `of descriptor ${from} to ${to}`);
  }
}

/** A pipe: what is written to `write` can be read from `read`. */
export function pipe(options: { nonBlocking?: boolean } = {}): { read: number; write: number } {
  const pair = new Int32Array(2);
  const flags = O_CLOEXEC | (options.nonBlocking ? openFlags.nonBlocking : 0);
  if (libc.pipe2(asBytes(pair), flags) === -1) throw new SysError(lastErrno(), "pipe2", "");
  return { read: pair[0] ?? -1, write: pair[1] ?? -1 };
}

/** Sets whether reads and writes wait. The setting belongs to the open file: everyone who shares it sees it. */
export function setNonBlocking(fd: number, on: boolean): void {
  const flags = libc.fcntl(fd, F_GETFL, 0);
  if (flags === -1) throw new SysError(lastErrno(), "fcntl", `F_GETFL of descriptor ${fd}`);
  const wanted = on ? flags | openFlags.nonBlocking : flags & ~openFlags.nonBlocking;
  if (wanted !== flags && libc.fcntl(fd, F_SETFL, wanted) === -1) {
    throw new SysError(lastErrno(), "fcntl", `F_SETFL of descriptor ${fd}`);
  }
}

/** Sets whether a program that this process turns into, or starts by a plain fork and exec, keeps the descriptor. */
export function setInheritable(fd: number, on: boolean): void {
  const flags = libc.fcntl(fd, F_GETFD, 0);
  if (flags === -1) throw new SysError(lastErrno(), "fcntl", `F_GETFD of descriptor ${fd}`);
  if (libc.fcntl(fd, F_SETFD, on ? flags & ~FD_CLOEXEC : flags | FD_CLOEXEC) === -1) {
    throw new SysError(lastErrno(), "fcntl", `F_SETFD of descriptor ${fd}`);
  }
}

/** Sets a pipe's or FIFO's capacity in bytes (rounded up to a power of two pages), and returns what it became. */
export function setPipeCapacity(fd: number, bytes: number): number {
  const capacity = libc.fcntl(fd, F_SETPIPE_SZ, bytes);
  if (capacity === -1) throw new SysError(lastErrno(), "fcntl", `F_SETPIPE_SZ ${bytes} of descriptor ${fd}`);
  return capacity;
}

/** A pipe's or FIFO's capacity in bytes. */
export function pipeCapacity(fd: number): number {
  const capacity = libc.fcntl(fd, F_GETPIPE_SZ, 0);
  if (capacity === -1) throw new SysError(lastErrno(), "fcntl", `F_GETPIPE_SZ of descriptor ${fd}`);
  return capacity;
}

/**
 * Opens a FIFO for reading and writing at once: never blocks, and no reader or writer who comes and goes makes the other
 * side see an end or a broken pipe (fifo(7), "Linux").
 */
export function openFifo(path: Path, options: { nonBlocking?: boolean } = {}): number {
  return open(path, openFlags.readWrite | (options.nonBlocking ? openFlags.nonBlocking : 0));
}

/**
 * One read(2) into `into`: the number of bytes, 0 at the end, undefined when a non-blocking descriptor has nothing yet.
 *
 * Blocks the whole process on a blocking descriptor that has nothing.
 */
export function read(fd: number, into: Uint8Array): number | undefined {
  return transfer("read", fd, into, libc.read);
}

/** One write(2): the number of bytes taken, undefined when a non-blocking descriptor takes none now. */
export function write(fd: number, from: Uint8Array): number | undefined {
  return transfer("write", fd, from, libc.write);
}

function transfer(
  name: string,
  fd: number,
  bytes: Uint8Array,
  call: (fd: number, bytes: Uint8Array, length: number) => number,
): number | undefined {
  for (;;) {
    const count = call(fd, bytes, bytes.length);
    if (count !== -1) return count;
    const error = lastErrno();
    if (error === errno.EAGAIN) return undefined;
    if (error !== errno.EINTR) throw new SysError(error, name, `descriptor ${fd}`);
  }
}

type Mover = "splice" | "copy_file_range" | "sendfile";

/**
 * Moves up to `length` bytes from one descriptor to another inside the kernel: splice where one is a pipe,
 * copy_file_range (shares blocks where the file system can) between files, sendfile from a file to anything.
 *
 * @returns the bytes moved, 0 at the end, undefined when a non-blocking side isn't ready.
 */
export function move(how: Mover, from: number, to: number, length: number): number | undefined {
  for (;;) {
    const count = moveOnce(how, from, to, length);
    if (count !== -1) return count;
    const error = lastErrno();
    if (error === errno.EAGAIN) return undefined;
    if (error !== errno.EINTR) throw new SysError(error, how, `from descriptor ${from} to ${to}`);
  }
}

function moveOnce(how: Mover, from: number, to: number, length: number): number {
  switch (how) {
    case "splice":
      return libc.splice(from, null, to, null, length, 0);
    case "copy_file_range":
      return libc.copy_file_range(from, null, to, null, length, 0);
    case "sendfile":
      return libc.sendfile(to, from, null, length);
  }
}

/** Writes everything of a file's file system to disk (`fd` is any descriptor on it). Blocks until done. */
export function syncFileSystem(fd: number): void {
  if (libc.syncfs(fd) === -1) throw new SysError(lastErrno(), "syncfs", `descriptor ${fd}`);
}

/** An anonymous file in memory; `name` shows in /proc only. */
export function memoryFile(name: string): number {
  const MFD_CLOEXEC = 1;
  const fd = libc.memfd_create(cString(name), MFD_CLOEXEC);
  if (fd === -1) throw new SysError(lastErrno(), "memfd_create", `"${name}"`);
  return fd;
}

/** An event counter (eventfd(2)), non-blocking: reading gives 8 bytes, the sum of what was written since. */
export function eventCounter(initial = 0): number {
  const fd = libc.eventfd(initial, O_CLOEXEC | openFlags.nonBlocking);
  if (fd === -1) throw new SysError(lastErrno(), "eventfd", "");
  return fd;
}

/** The same memory as bytes. */
export function asBytes(view: Int32Array | Uint32Array | BigInt64Array | BigUint64Array): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
