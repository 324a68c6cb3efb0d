/**
 * Snapshots whose own files may take no more than so many bytes: they are in a file system of that size, which is a file beside the
 * others of the snapshot, made and mounted by the mount manager when the snapshot is used.
 *
 * Project quotas would need no file system of their own, but hold nobody back who writes through an overlay: the kernel writes with the
 * rights of whoever mounted it, and on ext4 those of root are beyond quotas.
 */

import { existsSync, mkdtempSync, rmdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { failedPrecondition } from "@hull/errors";
import { isLoopBacking } from "@hull/sys/loop";
import { mountAll, unmountAll } from "@hull/sys/mount";
import type { Labels } from "../labels.ts";
import type { Mount } from "../mount/index.ts";
import { parseSize } from "../mount/manager/transforms.ts";
import { copyTree } from "./copy-tree.ts";

/** Bytes, or a number with k, m, g or t; containerd's name, where its erofs snapshotter reads it. */
export const sizeLabel = "containerd.io/snapshot/max-size";

/** The bytes that a snapshot's labels allow it; undefined: any. @throws InvalidArgument for what is no size */
export function limitOf(labels: Labels = {}): number | undefined {
  const text = labels[sizeLabel] ?? "";
  return text === "" ? undefined : parseSize(text);
}

/** How the root directory of a snapshot looks. */
export interface RootLooks {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/**
 * Mounts for the mount manager: the file system in the file `image`, and on top of it an overlay with these options, or the directory
 * alone if there is nothing below.
 */
export function limitedMounts(
  image: string,
  bytes: number,
  root: RootLooks,
  overlay: readonly string[] | undefined,
): Mount[] {
  const mkfs = ["X-containerd.mkfs.fs=ext4", `X-containerd.mkfs.size=${bytes}`, "rw", "loop"];
  const upper = `X-containerd.mkdir.path={{ mount 0 }}/upper:0${root.mode.toString(8)}:${root.uid}:${root.gid}`;
  const fileSystem: Mount = { type: "mkfs/ext4", source: image, target: "", options: mkfs };
  if (overlay === undefined) {
    return [
      fileSystem,
      { type: "format/mkdir/bind", source: "{{ mount 0 }}/upper", target: "", options: [upper, "rw", "rbind"] },
    ];
  }
  const work = "X-containerd.mkdir.path={{ mount 0 }}/work:0755";
  const own = [upper, work, "workdir={{ mount 0 }}/work", "upperdir={{ mount 0 }}/upper"];
  return [fileSystem, { type: "format/mkdir/overlay", source: "overlay", target: "", options: [...own, ...overlay] }];
}

/**
 * Takes the files out of a file system in a file, into the directory that a committed snapshot has them in, and removes the file. Nothing
 * if there is none.
 *
 * @throws FailedPrecondition while it is mounted; SysError if it is damaged
 */
export async function takeOut(image: string, files: string, signal: AbortSignal): Promise<void> {
  if (!existsSync(image)) return;
  if (isLoopBacking(image)) {
    throw failedPrecondition(`"${image}" is mounted: a snapshot of limited size is committed when nobody uses it`);
  }
  const place = mkdtempSync(join(dirname(image), "taken-"));
  try {
    mountAll([{ type: "ext4", source: image, options: ["loop"] }], place);
    try {
      const upper = join(place, "upper");
      if (existsSync(upper)) await copyTree(upper, files, signal);
    } finally {
      unmountAll(place);
    }
  } finally {
    rmdirSync(place);
  }
  rmSync(image);
}
