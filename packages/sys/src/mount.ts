/**
 * Mounting and unmounting, for this process's mount namespace.
 *
 * `mount` and `unmount` are the calls as they are; `mountAll` performs what the API calls a mount (type, source, options
 * in fstab's manner); `unmountAll` takes down whatever is at a place, however often it was mounted over.
 */

import { realpathSync } from "node:fs";
import { invalidArgument, unimplemented } from "@hull/errors";
import { isErrno, SysError } from "./errno.ts";
import { lastErrno, libc } from "./libc.ts";
import { attachLoop, type LoopDevice } from "./loop.ts";
import { type IdMapping, mappedDirectories, mountAttributes, mountMapped } from "./mount-idmap.ts";
import { mountInfo } from "./mount-info.ts";
import { mountFlags, type ParsedMountOptions, parseMountOptions } from "./mount-options.ts";
import { mountOverlayLong } from "./mount-overlay.ts";
import { cString } from "./strings.ts";

export type { MountInfo } from "./mount-info.ts";
export { mountInfo, parseMountInfo } from "./mount-info.ts";
export type { ParsedMountOptions } from "./mount-options.ts";
export { mountFlags, parseMountOptions } from "./mount-options.ts";

/** mount(2)'s arguments. What isn't given is null to the kernel. */
export interface MountCall {
  readonly source?: string;
  readonly target: string;
  readonly type?: string;
  /** `mountFlags`, combined. */
  readonly flags?: number;
  readonly data?: string;
}

/** Flags of calls that change what is mounted already, and put nothing on top of it. */
const changes = mountFlags.remount | mountFlags.shared | mountFlags.private | mountFlags.slave | mountFlags.unbindable;

/** One mount(2). @throws SysError; invalidArgument if it would cover the root directory */
export function mount({ source, target, type, flags = 0, data }: MountCall): void {
  const argument = (text: string | undefined) => (text === undefined ? null : cString(text));
  const arguments_ = [argument(source), cString(target), argument(type), argument(data)] as const;
  if ((flags & changes) === 0) refuseRoot(target);
  if (libc.mount(arguments_[0], arguments_[1], arguments_[2], flags, arguments_[3]) === -1) {
    throw new SysError(
      lastErrno(),
      "mount",
      `${source === undefined ? "" : `"${source}" `}on "${target}"${type === undefined ? "" : ` (type ${type})`}`,
    );
  }
}

/**
 * Refuses what only a missing path can have led to: an empty place, or the root directory by any name. Covering it would hide every
 * file of the host, and binding it onto itself would double all of its mounts.
 */
function refuseRoot(target: string): void {
  if (target === "") throw invalidArgument("the place of a mount is empty: give a directory's path");
  if (realPathOf(target) === "/") {
    throw invalidArgument(`"${target}" is the root directory: give a directory below it to mount on`);
  }
}

/** Undefined for what can't be looked at: the kernel says why. */
function realPathOf(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

/** How to unmount. */
export interface UnmountOptions {
  /** Out of the tree now, taken down when the last user is gone. */
  readonly detach?: boolean;
  /** Abort requests in flight (NFS, FUSE). */
  readonly force?: boolean;
  /** Don't follow a symbolic link at the end of the path. Default: true. */
  readonly noFollow?: boolean;
}

/** One umount2(2). @throws SysError: EINVAL if nothing is mounted there, EBUSY if it is in use. */
export function unmount(target: string, { detach = false, force = false, noFollow = true }: UnmountOptions = {}): void {
  const flags = (force ? 1 : 0) | (detach ? 2 : 0) | (noFollow ? 8 : 0);
  if (libc.umount2(cString(target), flags) === -1) throw new SysError(lastErrno(), "unmount", `"${target}"`);
}

/** A mount as the API has it: `containerd.types.Mount`. */
export interface Mount {
  readonly type: string;
  readonly source: string;
  /** Below the place given to `mountAll`; empty for that place itself. The directory must exist. */
  readonly target?: string;
  readonly options: readonly string[];
}

/** A page: mount(2) cuts data off there without a word. */
const maximumData = 4095;

/**
 * Performs mounts in order, all below `target`. If one fails, those before are taken down again.
 *
 * @throws SysError; invalidArgument for a mount's target that leads out of `target`, and for the root directory as one.
 */
export function mountAll(mounts: readonly Mount[], target: string): void {
  using undo = new DisposableStack();
  for (const one of mounts) {
    const place = placeOf(one, target);
    mountOne(one, place);
    undo.defer(() => unmount(place, { detach: true }));
  }
  undo.move();
}

function placeOf({ target }: Mount, root: string): string {
  if (target === undefined || target === "") return root;
  const parts = target.split("/");
  if (parts.includes("..")) throw invalidArgument(`mount target "${target}" leads out of "${root}"`);
  return `${root}/${parts.filter((part) => part !== "" && part !== ".").join("/")}`;
}

function mountOne({ type, source, options }: Mount, target: string): void {
  const parsed = parseMountOptions(options);
  const { flags, propagation } = parsed;
  const bind = (flags & mountFlags.bind) !== 0;
  const remountOnly = (flags & mountFlags.remount) !== 0;
  if (!remountOnly) refuseRoot(target);
  if (parsed.mapping !== undefined && bind && !remountOnly) {
    mountMapped(source, target, parsed.mapping, { attributes: attributesOf(flags) });
  } else {
    using scope = new DisposableStack();
    const device = parsed.loop === undefined ? source : scope.use(loopOf(source, parsed)).path;
    const data = parsed.mapping === undefined ? parsed.data : mappedOverlay(type, parsed.data, parsed.mapping, scope);
    mountPlain({ source: device, target, type, flags }, data);
  }
  try {
    for (const kind of propagation) mount({ target, flags: kind });
    // The first call of a bind mount ignores all flags but its own; a second one sets them.
    const extra = flags & ~(mountFlags.bind | mountFlags.recursive | mountFlags.remount);
    if (bind && !remountOnly && parsed.mapping === undefined && extra !== 0) {
      mount({ source, target, flags: (flags & ~mountFlags.recursive) | mountFlags.remount });
    }
  } catch (error) {
    if (!remountOnly) unmount(target, { detach: true });
    throw error;
  }
}

function mountPlain(call: MountCall & { source: string; flags: number }, options: readonly string[]): void {
  const data = options.join(",");
  if (Buffer.byteLength(data) <= maximumData) {
    mount({ ...call, data: data === "" ? undefined : data });
  } else if (call.type === "overlay") {
    mountOverlayLong({ source: call.source, target: call.target, flags: call.flags, data: options });
  } else {
    throw invalidArgument(`options of the mount on "${call.target}" are longer than ${maximumData} bytes`);
  }
}

function loopOf(source: string, { flags, loop }: ParsedMountOptions): LoopDevice {
  return attachLoop(source, { readOnly: (flags & mountFlags.readOnly) !== 0, directIo: loop?.directIo });
}

/** The options of an overlay whose lower directories are shown with mapped ids; what shows them is needed until it is mounted. */
function mappedOverlay(type: string, data: readonly string[], mapping: IdMapping, scope: DisposableStack): string[] {
  if (type !== "overlay") {
    throw unimplemented(`a mount of type "${type}" can't have mapped ids: only bind mounts and overlays can`);
  }
  return data.map((option) => {
    if (!option.startsWith("lowerdir=")) return option;
    const lower = option.slice("lowerdir=".length).split(":");
    const shown = mappedDirectories(lower, mapping, (target) => unmount(target, { detach: true }));
    return `lowerdir=${scope.use(shown).paths.join(":")}`;
  });
}

/** A mount's flags as the newer calls have them. */
function attributesOf(flags: number): bigint {
  const pairs = [
    [mountFlags.readOnly, mountAttributes.readOnly],
    [mountFlags.noSuid, mountAttributes.noSuid],
    [mountFlags.noDevices, mountAttributes.noDevices],
    [mountFlags.noExec, mountAttributes.noExec],
  ] as const;
  return pairs.reduce((sum, [flag, attribute]) => (flags & flag ? sum | attribute : sum), 0n);
}

/**
 * Takes down everything that is mounted on `target`, with what is mounted below. Where there is nothing, that is fine.
 *
 * What is still in use is detached: it leaves the tree now, and ends with its last user. Mounts below a `target` that is
 * itself only a directory stay; `unmountTree` takes those.
 *
 * @throws SysError, other than for a place that doesn't exist or isn't a mount.
 */
export function unmountAll(target: string): void {
  for (;;) {
    try {
      unmount(target);
    } catch (error) {
      if (isErrno(error, "EINVAL", "ENOENT")) return;
      if (!isErrno(error, "EBUSY")) throw error;
      unmountBelow(target);
      unmount(target, { detach: true });
    }
  }
}

/** Takes down what is mounted on `target`, and on anything below it. @throws SysError; invalidArgument for the root directory */
export function unmountTree(target: string): void {
  refuseRoot(target);
  unmountAll(target);
  unmountBelow(target);
}

function unmountBelow(target: string): void {
  const below = mountInfo().filter((info) => info.target.startsWith(`${target}/`));
  // The list is in order of making: the last made lies on top.
  for (const info of below.reverse()) {
    try {
      unmount(info.target, { detach: true });
    } catch (error) {
      if (!isErrno(error, "EINVAL", "ENOENT")) throw error;
    }
  }
}
