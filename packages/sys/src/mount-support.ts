/** What file systems there are, and what this host's overlay can do, found out by trying. */

import { existsSync, mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HullError } from "@hull/errors";
import { syscalls } from "./arch.ts";
import { errno, isErrno, SysError } from "./errno.ts";
import { Descriptor, open, openFlags } from "./fd.ts";
import { lastErrno, libc } from "./libc.ts";
import { mount, unmount } from "./mount.ts";

/** Whether overlays work, and with what. */
export interface OverlaySupport {
  /** Why not; undefined if they work. */
  readonly problem?: string;
  /** The driver knows "index=off", without which two overlays can't share an upper directory's origin. */
  readonly indexOff: boolean;
}

/** Tries an overlay inside `directory`, which must exist; leaves nothing behind. For root, or it can't be known. */
export function overlaySupport(directory: string): OverlaySupport {
  const indexOff = existsSync("/sys/module/overlay/parameters/index");
  const place = mkdtempSync(join(directory, "overlay-check-"));
  try {
    return { problem: problemWith(place), indexOff: indexOff || existsSync("/sys/module/overlay/parameters/index") };
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

function problemWith(place: string): string | undefined {
  const at = (name: string) => join(place, name);
  for (const name of ["lower1", "lower2", "upper", "work", "merged"]) mkdirSync(at(name));
  if (!hasEntryTypes(place)) return "its file system does not tell the type of directory entries (d_type)";
  const data = `lowerdir=${at("lower2")}:${at("lower1")},upperdir=${at("upper")},workdir=${at("work")}`;
  try {
    mount({ source: "overlay", target: at("merged"), type: "overlay", data });
  } catch (error) {
    if (isErrno(error, "ENODEV")) return "the kernel has no overlay file system: load the module overlay";
    if (error instanceof SysError) return `an overlay can't be mounted there: ${error.message}`;
    throw error;
  }
  try {
    // An upper file system without the attributes that overlay needs mounts read-only.
    writeFileSync(join(at("merged"), "file"), "");
    return undefined;
  } catch (error) {
    if (isErrno(error, "EROFS")) return "its file system can't be an overlay's upper directory";
    throw error;
  } finally {
    unmount(at("merged"));
  }
}

/**
 * Whether listing a directory tells what the entries are (xfs made with ftype=0 doesn't); overlay can't do without.
 *
 * The directory must have an entry. Reads struct linux_dirent64, see getdents(2).
 */
export function hasEntryTypes(directory: string): boolean {
  using listing = new Descriptor(open(directory, openFlags.readOnly | openFlags.directory));
  const entries = new Uint8Array(32768);
  const length = libc.getdents64(syscalls.getdents64, listing.fd, entries, entries.length);
  if (length === -1) throw new SysError(lastErrno(), "getdents64", `"${directory}"`);
  const view = new DataView(entries.buffer);
  const DT_UNKNOWN = 0;
  for (let at = 0; at < length; at += view.getUint16(at + 16, true)) {
    const isDot = entries[at + 19] === 0x2e;
    if (!isDot && entries[at + 18] === DT_UNKNOWN) return false;
  }
  return true;
}

/** Magic numbers of file systems: include/uapi/linux/magic.h. */
const fileSystems: Readonly<Record<number, string>> = {
  61267: "ext4",
  2435016766: "btrfs",
  1481003842: "xfs",
  16914836: "tmpfs",
  2035054128: "overlay",
  40864: "proc",
  1650812274: "sysfs",
  2613483: "cgroup",
  1667723888: "cgroup2",
  1702057286: "fuse",
  26985: "nfs",
  801189825: "zfs",
  4076150800: "f2fs",
  3774210530: "erofs",
  1936814952: "squashfs",
  1852207972: "nsfs",
  2240043254: "ramfs",
};

/** The type of the file system that `path` is on, by its magic number ("0x…" for one that has no name here). */
export function fileSystemType(path: string): string {
  try {
    const { type } = statfsSync(path);
    return fileSystems[type] ?? `0x${type.toString(16)}`;
  } catch (error) {
    if (isErrno(error, "ENOENT")) throw new SysError(errno.ENOENT, "statfs", `"${path}"`, { cause: error });
    throw HullError.from(error);
  }
}
