/** Subvolumes of btrfs (include/uapi/linux/btrfs.h): made, copied in no time, deleted. */

import { basename, dirname } from "node:path";
import { invalidArgument } from "@hull/errors";
import { SysError } from "./errno.ts";
import { Descriptor, open, openFlags } from "./fd.ts";
import { lastErrno, libc } from "./libc.ts";

const SUBVOL_CREATE = 0x5000940e;
const SNAP_DESTROY = 0x5000940f;
const SNAP_CREATE_V2 = 0x50009417;
const INO_LOOKUP = 0xd0009412;
const SUBVOL_RDONLY = 2n;
/** The root directory of every subvolume has this inode number. */
const rootInode = 256n;

/** All of these structures are as large as a page. */
const argumentSize = 4096;
const nameAt = 8;
const nameAtV2 = 56;
const longestName = 255;

/** Makes an empty subvolume at a path where nothing is. @throws SysError */
export function createSubvolume(path: string): void {
  call(path, SUBVOL_CREATE, "BTRFS_IOC_SUBVOL_CREATE", named(path, nameAt));
}

/** Makes a subvolume that has all that another one has. @throws SysError */
export function snapshotSubvolume(source: string, path: string, { readOnly }: { readOnly: boolean }): void {
  using from = directory(source);
  const argument = named(path, nameAtV2);
  argument.writeBigInt64LE(BigInt(from.fd), 0);
  argument.writeBigUInt64LE(readOnly ? SUBVOL_RDONLY : 0n, 16);
  call(path, SNAP_CREATE_V2, "BTRFS_IOC_SNAP_CREATE_V2", argument);
}

/** Deletes a subvolume with all that is in it; its blocks are freed later. @throws SysError ENOENT */
export function deleteSubvolume(path: string): void {
  call(path, SNAP_DESTROY, "BTRFS_IOC_SNAP_DESTROY", named(path, nameAt));
}

/** The number by which a subvolume is mounted: option `subvolid=`. @throws SysError ENOTTY where there is no btrfs */
export function subvolumeId(path: string): bigint {
  using at = directory(path);
  const argument = Buffer.alloc(argumentSize);
  argument.writeBigUInt64LE(rootInode, 8);
  if (libc.ioctl(at.fd, INO_LOOKUP, argument) === -1) {
    throw new SysError(lastErrno(), "ioctl", `BTRFS_IOC_INO_LOOKUP of "${path}"`);
  }
  return argument.readBigUInt64LE(0);
}

function directory(path: string): Descriptor {
  return new Descriptor(open(path, openFlags.readOnly | openFlags.directory));
}

function named(path: string, at: number): Buffer {
  const argument = Buffer.alloc(argumentSize);
  const name = Buffer.from(basename(path));
  if (name.length > longestName) throw invalidArgument(`"${path}" is too long for the name of a subvolume`);
  name.copy(argument, at);
  return argument;
}

function call(path: string, request: number, what: string, argument: Buffer): void {
  using parent = directory(dirname(path));
  if (libc.ioctl(parent.fd, request, argument) === -1) throw new SysError(lastErrno(), "ioctl", `${what} of "${path}"`);
}
