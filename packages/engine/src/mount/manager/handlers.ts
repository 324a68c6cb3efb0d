/** Mounts that are done here in any case, by their type. */

import { existsSync, mkdirSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { unimplemented } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { attachLoop, detachLoop } from "@hull/sys/loop";
import { mountAll } from "@hull/sys/mount";
import type { Mount } from "../index.ts";

/** Mounts at a path where nothing is. Taking it down is `takeDown`'s work, whatever it is. */
export type Handler = (mount: Mount, at: string) => void;

/** What is mounted on a bind mount of one of these must not show up on it as well, and multiply. */
const unshared = "private";

export const handlers: Readonly<Record<string, Handler>> = {
  /** A file as a block device: the path becomes a link to it. */
  loop: ({ source, options }, at) => {
    const device = attachLoop(source, {
      readOnly: options.includes("ro"),
      directIo: options.includes("direct-io"),
      lasting: true,
    });
    try {
      symlinkSync(device.path, at);
    } catch (error) {
      detachLoop(device.path);
      throw error;
    } finally {
      device[Symbol.dispose]();
    }
  },
  erofs: (mount, at) => {
    const verity = mount.options.find((option) => option.startsWith("X-containerd.dmverity="));
    if (verity !== undefined) throw unimplemented(`mount option "${verity}": hull doesn't do dm-verity`);
    mkdirSync(at, { mode: 0o700 });
    const plain = mount.options.filter((option) => option !== "loop");
    const one = { ...mount, target: "" };
    try {
      // Linux 6.12 mounts files.
      mountAll([{ ...one, options: [...plain, unshared] }], at);
    } catch (error) {
      if (!isErrno(error, "ENOTBLK")) throw error;
      if (plain.some((option) => option.startsWith("device="))) {
        throw unimplemented(`"${mount.source}" has further devices: that needs Linux 6.12`, { cause: error });
      }
      mountAll([{ ...one, options: [...plain, "loop", unshared] }], at);
    }
  },
};

/** Any other mount. */
export const plainHandler: Handler = (mount, at) => {
  mkdirSync(at, { mode: 0o700 });
  mountAll([{ ...mount, target: "", options: [...mount.options, unshared] }], at);
};

/** Lets go of the loop device that a path leads to, if it is such a path. @returns false if it isn't */
export function takeDownLoop(at: string): boolean {
  let device: string;
  try {
    device = readlinkSync(at);
  } catch (error) {
    if (isErrno(error, "EINVAL", "ENOENT")) return false;
    throw error;
  }
  if (/^\/dev\/loop\d+$/.test(device) && existsSync(device)) detachLoop(device);
  rmSync(at, { force: true });
  return true;
}
