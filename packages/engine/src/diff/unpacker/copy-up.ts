/** Copies from a lower layer into the target, as overlayfs does when something is about to change ("copy up"). */

import { type BigIntStats, chmodSync, readSync } from "node:fs";
import { isErrno, SysError } from "@hull/sys/errno";
import { Descriptor } from "@hull/sys/fd";
import { getAttribute, listAttributes, setAttribute } from "@hull/sys/files";
import type { TarTime } from "../tar/index.ts";
import { createFile, setOwner, setTimes, writeAll } from "./calls.ts";
import type { LowerFile } from "./lower.ts";
import { bytesOf, display } from "./paths.ts";

/** Owner, mode and extended attributes, but for overlayfs's own. Times are the caller's to set, when nothing changes any more. */
export function copyAttributes({ fd, stat }: LowerFile, path: string): void {
  setOwner(path, Number(stat.uid), Number(stat.gid));
  chmodSync(bytesOf(path), Number(stat.mode & 0o7777n));
  for (const name of attributesOf(fd)) {
    if (name.startsWith("trusted.overlay.") || name.startsWith("user.overlay.")) continue;
    const value = getAttribute(fd, name);
    if (value !== undefined) setAttribute(bytesOf(path), name, value);
  }
}

function attributesOf(fd: number): string[] {
  try {
    return listAttributes(fd);
  } catch (error) {
    if (isErrno(error, "EOPNOTSUPP")) return [];
    throw error;
  }
}

/** A whole regular file, to a path where nothing is. @throws SysError */
export function copyFile(from: LowerFile, path: string): void {
  const fd = createFile(path, 0o600);
  if (fd < 0) throw new SysError(-fd, "create", `"${display(path)}"`);
  using _ = new Descriptor(fd);
  const buffer = new Uint8Array(1 << 18);
  for (;;) {
    const count = readSync(from.fd, buffer, 0, buffer.length, null);
    if (count === 0) break;
    writeAll(fd, buffer.subarray(0, count), path);
  }
  copyAttributes(from, path);
  copyTimes(from.stat, path);
}

function copyTimes({ atimeNs, mtimeNs }: BigIntStats, path: string): void {
  setTimes(path, tarTime(atimeNs), tarTime(mtimeNs));
}

/** A time in the archive's form. */
export function tarTime(nanoseconds: bigint): TarTime {
  const billion = 1_000_000_000n;
  const rest = ((nanoseconds % billion) + billion) % billion;
  return { seconds: Number((nanoseconds - rest) / billion), nanoseconds: Number(rest) };
}
