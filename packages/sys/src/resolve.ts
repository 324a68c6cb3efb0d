/** Paths from images and clients, resolved so that they can't lead out of their root. */

import { fstatSync, lstatSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { failedPrecondition, invalidArgument } from "@hull/errors";
import { syscalls } from "./arch.ts";
import { errno, isErrno, SysError } from "./errno.ts";
import { asBytes, close, O_CLOEXEC, openFlags } from "./fd.ts";
import { lastErrno, libc } from "./libc.ts";
import type { Path } from "./strings.ts";
import { cString, display } from "./strings.ts";

/** openat2(2)'s ways: include/uapi/linux/openat2.h. */
const RESOLVE_NO_MAGICLINKS = 0x2;
const RESOLVE_NO_SYMLINKS = 0x4;
const RESOLVE_BENEATH = 0x8;
const RESOLVE_IN_ROOT = 0x10;

/** How `openInside` treats what would lead out. */
export interface OpenInsideOptions {
  /** "clamp" (default) takes the directory for "/" as chroot does; "refuse" fails with EXDEV. */
  readonly escape?: "clamp" | "refuse";
  /** Fail with ELOOP at any symbolic link. */
  readonly noLinks?: boolean;
  /** For a file that is created. */
  readonly mode?: number;
}

/**
 * Opens a path below a directory, which is given by its descriptor; the kernel itself sees that nothing leads out, at no
 * moment, whoever renames what meanwhile (openat2(2), Linux 5.6).
 *
 * @throws SysError; ENOSYS on an older kernel.
 */
export function openInside(directory: number, path: Path, flags: number, options: OpenInsideOptions = {}): number {
  const { escape: outside = "clamp", noLinks = false, mode = 0 } = options;
  const resolve =
    RESOLVE_NO_MAGICLINKS |
    (outside === "clamp" ? RESOLVE_IN_ROOT : RESOLVE_BENEATH) |
    (noLinks ? RESOLVE_NO_SYMLINKS : 0);
  const how = asBytes(new BigUint64Array([BigInt(flags | O_CLOEXEC), BigInt(mode), BigInt(resolve)]));
  const name = cString(path);
  for (;;) {
    const fd = libc.openat2(syscalls.openat2, directory, name, how, how.length);
    if (fd !== -1) return fd;
    const error = lastErrno();
    // EAGAIN: something was renamed meanwhile, and the kernel can't tell whether ".." still leads where it should.
    if (error !== errno.EINTR && error !== errno.EAGAIN) throw new SysError(error, "openat2", `"${display(path)}"`);
  }
}

const longestText = 10 * 2 ** 20;

/**
 * The text of a file below a directory (given by its descriptor) which someone else filled; links are followed inside it alone.
 * Undefined if there is no such file, or it isn't one.
 *
 * @throws SysError; invalidArgument for more than 10 MiB.
 */
export function readTextInside(directory: number, path: string): string | undefined {
  let file: number;
  try {
    // Non-blocking: it may be a FIFO.
    file = openInside(directory, path, openFlags.readOnly | openFlags.nonBlocking);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ELOOP", "EACCES", "ENXIO")) return undefined;
    throw error;
  }
  try {
    const info = fstatSync(file);
    if (!info.isFile()) return undefined;
    if (info.size > longestText)
      throw invalidArgument(`"${path}" has ${info.size} bytes: at most ${longestText} are read`);
    return readFileSync(file, "utf8");
  } finally {
    close(file);
  }
}

const maximumLinks = 255;

/**
 * The path on the host that `path` means to a process whose root is `root`: links are followed inside the root, ".." stops
 * there, and parts that don't exist are kept as they are. Only as good as the moment: for a tree that someone may be
 * changing, use `openInside`.
 *
 * @throws invalidArgument for a NUL; failedPrecondition after 255 links.
 */
export function resolveInRoot(root: string, path: string): string {
  if (path.includes("\0")) throw invalidArgument(`"${path}" contains a NUL byte`);
  const pending = path.split("/").reverse();
  const done: string[] = [];
  let links = 0;
  for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
    if (part === "" || part === ".") continue;
    if (part === "..") {
      done.pop();
      continue;
    }
    const target = linkTarget(join(root, ...done, part));
    if (target === undefined) {
      done.push(part);
      continue;
    }
    if (++links > maximumLinks) throw failedPrecondition(`"${path}" in "${root}" has more than ${maximumLinks} links`);
    if (target.startsWith("/")) done.length = 0;
    pending.push(...target.split("/").reverse());
  }
  return join(root, ...done);
}

function linkTarget(path: string): string | undefined {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : undefined;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}
