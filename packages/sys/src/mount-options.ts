/**
 * The options of a mount as fstab and containerd write them, and what they are to mount(2).
 *
 * Flags: include/uapi/linux/mount.h. Names: mount(8), "FILESYSTEM-INDEPENDENT MOUNT OPTIONS".
 */

import { invalidArgument } from "@hull/errors";

/** mount(2)'s flags. */
export const mountFlags = {
  readOnly: 1,
  noSuid: 2,
  noDevices: 4,
  noExec: 8,
  synchronous: 16,
  remount: 32,
  mandatoryLocks: 64,
  directorySync: 128,
  noSymlinkFollow: 256,
  noAccessTime: 1024,
  noDirectoryAccessTime: 2048,
  bind: 4096,
  move: 8192,
  recursive: 16384,
  silent: 32768,
  unbindable: 1 << 17,
  private: 1 << 18,
  slave: 1 << 19,
  shared: 1 << 20,
  relativeAccessTime: 1 << 21,
  incrementVersion: 1 << 23,
  strictAccessTime: 1 << 24,
  lazyTime: 1 << 25,
} as const;

const f = mountFlags;

/** Options that set flags, or clear them. */
const flagOptions: Readonly<Record<string, { set?: number; clear?: number }>> = {
  defaults: {},
  ro: { set: f.readOnly },
  rw: { clear: f.readOnly },
  nosuid: { set: f.noSuid },
  suid: { clear: f.noSuid },
  nodev: { set: f.noDevices },
  dev: { clear: f.noDevices },
  noexec: { set: f.noExec },
  exec: { clear: f.noExec },
  sync: { set: f.synchronous },
  async: { clear: f.synchronous },
  dirsync: { set: f.directorySync },
  remount: { set: f.remount },
  mand: { set: f.mandatoryLocks },
  nomand: { clear: f.mandatoryLocks },
  noatime: { set: f.noAccessTime },
  atime: { clear: f.noAccessTime },
  nodiratime: { set: f.noDirectoryAccessTime },
  diratime: { clear: f.noDirectoryAccessTime },
  relatime: { set: f.relativeAccessTime },
  norelatime: { clear: f.relativeAccessTime },
  strictatime: { set: f.strictAccessTime },
  nostrictatime: { clear: f.strictAccessTime },
  lazytime: { set: f.lazyTime },
  nolazytime: { clear: f.lazyTime },
  nosymfollow: { set: f.noSymlinkFollow },
  symfollow: { clear: f.noSymlinkFollow },
  iversion: { set: f.incrementVersion },
  noiversion: { clear: f.incrementVersion },
  silent: { set: f.silent },
  loud: { clear: f.silent },
  bind: { set: f.bind },
  rbind: { set: f.bind | f.recursive },
};

const propagationOptions: Readonly<Record<string, number>> = {
  shared: f.shared,
  slave: f.slave,
  private: f.private,
  unbindable: f.unbindable,
  rshared: f.shared | f.recursive,
  rslave: f.slave | f.recursive,
  rprivate: f.private | f.recursive,
  runbindable: f.unbindable | f.recursive,
};

/** What a list of options says. */
export interface ParsedMountOptions {
  /** For the mount itself; no propagation in it. */
  readonly flags: number;
  /** Propagation changes, each a call of its own after the mount, in order. */
  readonly propagation: readonly number[];
  /** What the file system's own driver is told, to be joined by commas. */
  readonly data: readonly string[];
  /** The source is a file, which a loop device makes a block device of; `direct-io` past the page cache. */
  readonly loop?: { readonly directIo: boolean };
  /** Owners are shown as others. */
  readonly mapping?: { readonly uidmap: string; readonly gidmap: string };
}

/**
 * Sorts options into flags, propagation, and data for the file system. A later option overrides an earlier one.
 *
 * Options that start with "X-containerd." speak to the mount manager, not to the kernel, and are left out.
 *
 * @throws invalidArgument for an option that has a NUL in it, and for one of "uidmap=" and "gidmap=" without the other
 */
export function parseMountOptions(options: readonly string[]): ParsedMountOptions {
  let flags = 0;
  const propagation: number[] = [];
  const data: string[] = [];
  let isLoop = false;
  const maps: { uidmap?: string; gidmap?: string } = {};
  for (const option of options) {
    const change = Object.hasOwn(flagOptions, option) ? flagOptions[option] : undefined;
    const kind = Object.hasOwn(propagationOptions, option) ? propagationOptions[option] : undefined;
    const map = /^([ug]idmap)=(.*)$/s.exec(option);
    if (option.includes("\0")) throw invalidArgument(`mount option "${option}" contains a NUL byte`);
    if (change !== undefined) flags = (flags & ~(change.clear ?? 0)) | (change.set ?? 0);
    else if (kind !== undefined) propagation.push(kind);
    else if (option === "loop") isLoop = true;
    else if (map !== null) maps[map[1] === "uidmap" ? "uidmap" : "gidmap"] = map[2];
    else if (option !== "" && !option.startsWith("X-containerd.")) data.push(option);
  }
  const { uidmap, gidmap } = maps;
  if ((uidmap === undefined) !== (gidmap === undefined)) {
    throw invalidArgument('mount options "uidmap=" and "gidmap=" go together: give both');
  }
  const mapping = uidmap === undefined || gidmap === undefined ? {} : { mapping: { uidmap, gidmap } };
  if (!isLoop) return { flags, propagation, data, ...mapping };
  const own = data.filter((option) => option !== "direct-io");
  return { flags, propagation, data: own, loop: { directIo: own.length < data.length }, ...mapping };
}
