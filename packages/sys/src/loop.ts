/** Loop devices: a file as a block device (Linux 5.8 and newer; loop(4), include/uapi/linux/loop.h). */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { unavailable } from "@hull/errors";
import { errno, SysError } from "./errno.ts";
import { Descriptor, open, openFlags } from "./fd.ts";
import { makeDevice, makeNode } from "./files.ts";
import { lastErrno, libc } from "./libc.ts";

const LOOP_CTL_GET_FREE = 0x4c82;
const LOOP_CONFIGURE = 0x4c0a;
const LOOP_CLR_FD = 0x4c01;

const flags = { readOnly: 1, autoClear: 4, directIo: 16 } as const;

/** struct loop_config: descriptor of the file, block size, struct loop_info64, and room for more. */
const configSize = 304;
const flagsAt = 60;
const nameAt = 64;
const nameSize = 64;

const loopMajor = 7;

export interface LoopOptions {
  readonly readOnly?: boolean;
  /** Past the page cache of the file system that the file is on. */
  readonly directIo?: boolean;
  /** Stays until `detachLoop`, used or not. */
  readonly lasting?: boolean;
}

/** A loop device. It goes when its last user has gone: this descriptor, or a mount of it. */
export interface LoopDevice extends Disposable {
  /** `/dev/loopN` */
  readonly path: string;
}

/** Another program may take the device that was free: how often that is tried again. */
const attempts = 50;

/** Makes a loop device of a file. @throws SysError; Unavailable if there is no free one, or no loop devices at all */
export function attachLoop(
  file: string,
  { readOnly = false, directIo = false, lasting = false }: LoopOptions = {},
): LoopDevice {
  if (!existsSync("/dev/loop-control")) {
    throw unavailable(`"${file}" can't be mounted: there are no loop devices here, load the module loop`);
  }
  using content = new Descriptor(open(file, readOnly ? openFlags.readOnly : openFlags.readWrite));
  using control = new Descriptor(open("/dev/loop-control", openFlags.readWrite));
  const config = Buffer.alloc(configSize);
  config.writeUInt32LE(content.fd, 0);
  const wanted = (lasting ? 0 : flags.autoClear) | (readOnly ? flags.readOnly : 0) | (directIo ? flags.directIo : 0);
  config.writeUInt32LE(wanted, flagsAt);
  config.write(file.slice(0, nameSize - 1), nameAt);
  for (let tries = 0; tries < attempts; tries++) {
    const number = libc.ioctlValue(control.fd, LOOP_CTL_GET_FREE, 0);
    if (number === -1) throw new SysError(lastErrno(), "ioctl", "LOOP_CTL_GET_FREE");
    const path = `/dev/loop${number}`;
    // A container's /dev doesn't get the nodes of new devices by itself.
    if (!existsSync(path)) makeNode(path, "block", 0o660, makeDevice(loopMajor, number));
    const device = new Descriptor(open(path, readOnly ? openFlags.readOnly : openFlags.readWrite));
    if (libc.ioctl(device.fd, LOOP_CONFIGURE, config) !== -1) {
      return { path, [Symbol.dispose]: () => device[Symbol.dispose]() };
    }
    const error = lastErrno();
    device[Symbol.dispose]();
    if (error !== errno.EBUSY) throw new SysError(error, "ioctl", `LOOP_CONFIGURE of "${path}" with "${file}"`);
  }
  throw unavailable(`"${file}" can't be mounted: no loop device stayed free long enough`);
}

/** Lets go of a loop device's file, now or when its last user has gone. One that has none is fine. */
export function detachLoop(path: string): void {
  using device = new Descriptor(open(path, openFlags.readOnly));
  if (libc.ioctlValue(device.fd, LOOP_CLR_FD, 0) !== -1) return;
  const error = lastErrno();
  if (error !== errno.ENXIO) throw new SysError(error, "ioctl", `LOOP_CLR_FD of "${path}"`);
}

/** True while some loop device is made of this file, named by its path without links. */
export function isLoopBacking(file: string): boolean {
  return readdirSync("/sys/block").some((name) => {
    const backing = `/sys/block/${name}/loop/backing_file`;
    return name.startsWith("loop") && existsSync(backing) && readFileSync(backing, "utf8").trimEnd() === file;
  });
}
