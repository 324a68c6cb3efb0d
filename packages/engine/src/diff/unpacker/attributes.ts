/** Owner, mode, extended attributes and times of what an entry made. */

import { chmodSync } from "node:fs";
import { isErrno } from "@hull/sys/errno";
import { setAttribute } from "@hull/sys/files";
import type { TarEntry, TarTime } from "../tar/index.ts";
import { setOwner, setTimes } from "./calls.ts";
import { bytesOf } from "./paths.ts";

/** Set-user-id, set-group-id and sticky: the kernel may drop them when a file is made or changes its owner. */
const specialBits = 0o7000;

/** How a new file differs from what its entry says. */
export interface NewFile {
  /** It may have got its group or mode from its directory (set-group-id, default ACL): set all. */
  readonly inherits: boolean;
  /** Its mode was given when it was made. */
  readonly hasMode: boolean;
}

/**
 * Sets what making the file did not. The order is the kernel's: a new owner takes special bits and file capabilities away, so
 * these come after it; and writing takes capabilities away, so this comes after the bytes. Times are not set here.
 */
export function setAttributes(path: string, entry: TarEntry, made: NewFile): void {
  if (made.inherits || entry.uid !== 0 || entry.gid !== 0) setOwner(path, entry.uid, entry.gid);
  const needsMode = made.inherits || !made.hasMode || (entry.mode & specialBits) !== 0;
  // A link has no mode of its own, and chmod would follow it.
  if (needsMode && entry.type !== "symlink") chmodSync(bytesOf(path), entry.mode);
  if (entry.xattrs !== undefined) setExtended(path, entry);
}

function setExtended(path: string, entry: TarEntry): void {
  for (const [name, value] of entry.xattrs ?? []) {
    // These steer overlayfs itself: a layer could make a directory show another one's files.
    if (name.startsWith("trusted.overlay.") || name.startsWith("user.overlay.")) continue;
    try {
      setAttribute(bytesOf(path), Buffer.from(name, "latin1").toString(), value);
    } catch (error) {
      if (isErrno(error, "EOPNOTSUPP")) continue;
      // The kernel keeps the "user" class from anything but files and directories.
      const isPlain = entry.type === "file" || entry.type === "directory";
      if (isErrno(error, "EPERM") && name.startsWith("user.") && !isPlain) continue;
      throw error;
    }
  }
}

/** True if files made in this directory may get something from it. */
export function passesOn(entry: TarEntry): boolean {
  return (entry.mode & 0o2000) !== 0 || entry.gid !== 0 || entry.xattrs?.has("system.posix_acl_default") === true;
}

const epoch: TarTime = { seconds: 0, nanoseconds: 0 };
/** Seconds that fit 64 bits of nanoseconds: what containerd, and most else, can express. */
const maximumSeconds = 9_223_372_036;

/** A time that can be set; one that can't becomes 1970, as containerd has it. */
function bounded(time: TarTime): TarTime {
  return time.seconds < 0 || time.seconds > maximumSeconds ? epoch : time;
}

/** Access and modification time of an entry. Access is never before modification. */
export function setEntryTimes(path: string, { mtime, atime }: Pick<TarEntry, "mtime" | "atime">): void {
  const modification = bounded(mtime);
  let access = modification;
  if (atime !== undefined && isLater(atime, mtime)) access = bounded(atime);
  setTimes(path, access, modification);
}

function isLater(a: TarTime, b: TarTime): boolean {
  return a.seconds > b.seconds || (a.seconds === b.seconds && a.nanoseconds > b.nanoseconds);
}
