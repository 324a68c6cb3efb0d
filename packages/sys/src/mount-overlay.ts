/**
 * Overlay mounts whose options don't fit the one page that mount(2) takes: many layers, or long paths.
 *
 * Two ways. The newer mount calls take the lower directories one by one ("lowerdir+", Linux 6.7). On an older kernel the
 * directories are opened, and named by their descriptors, which is 18 bytes each. Changing the working directory and
 * naming them from there, as programs with one thread do, would change it for the whole process.
 */

import { invalidArgument } from "@hull/errors";
import { syscalls } from "./arch.ts";
import { isErrno, SysError } from "./errno.ts";
import { Descriptor, open, openFlags } from "./fd.ts";
import { lastErrno, libc } from "./libc.ts";
import { mountFlags } from "./mount-options.ts";
import { cString } from "./strings.ts";

/** What to mount. */
export interface OverlayMount {
  readonly source: string;
  readonly target: string;
  /** `mountFlags`. */
  readonly flags: number;
  /** What the overlay driver is told, one "key=value" or "key" each. */
  readonly data: readonly string[];
}

/** Mounts an overlay of any length. @throws SysError; invalidArgument if it fits by neither way. */
export function mountOverlayLong(overlay: OverlayMount): void {
  try {
    mountByLayer(overlay);
  } catch (error) {
    // An older kernel doesn't know the calls, or the key; a sandbox may forbid them; a path may be longer than 255 bytes.
    if (!isErrno(error, "ENOSYS", "EINVAL", "EPERM")) throw error;
    mountByDescriptor(overlay);
  }
}

/** fsconfig(2)'s commands: include/uapi/linux/mount.h. */
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const AT_FDCWD = -100;

/** The flags of one mount as fsmount(2) takes them. */
const attributes: readonly (readonly [flag: number, attribute: number])[] = [
  [mountFlags.readOnly, 0x1],
  [mountFlags.noSuid, 0x2],
  [mountFlags.noDevices, 0x4],
  [mountFlags.noExec, 0x8],
  [mountFlags.noAccessTime, 0x10],
  [mountFlags.strictAccessTime, 0x20],
  [mountFlags.noDirectoryAccessTime, 0x80],
  [mountFlags.noSymlinkFollow, 0x200000],
];

/** Mounts by fsopen(2) and its kin. @throws SysError: ENOSYS before Linux 5.2, EINVAL before 6.7. */
export function mountByLayer({ source, target, flags, data }: OverlayMount): void {
  const context = libc.fsopen(syscalls.fsopen, cString("overlay"), FSOPEN_CLOEXEC);
  if (context === -1) throw new SysError(lastErrno(), "fsopen", `"overlay"`);
  using scope = new Descriptor(context);
  const configure = (command: number, key: string | null, value: string | null) => {
    const bytes = [key, value].map((text) => (text === null ? null : cString(text)));
    if (libc.fsconfig(syscalls.fsconfig, scope.fd, command, bytes[0] ?? null, bytes[1] ?? null, 0) === -1) {
      throw new SysError(
        lastErrno(),
        "fsconfig",
        `"${key ?? "create"}"${value === null ? "" : ` to "${value}"`} for "${target}"`,
      );
    }
  };
  configure(FSCONFIG_SET_STRING, "source", source);
  if (flags & mountFlags.readOnly) configure(FSCONFIG_SET_FLAG, "ro", null);
  for (const option of data) {
    const [key, value] = splitOption(option);
    if (value === undefined) configure(FSCONFIG_SET_FLAG, key, null);
    else if (key === "lowerdir") {
      for (const [name, directory] of layersOf(value)) configure(FSCONFIG_SET_STRING, name, directory);
    } else configure(FSCONFIG_SET_STRING, key, withoutQuotes(value));
  }
  configure(FSCONFIG_CMD_CREATE, null, null);
  const wanted = attributes.reduce((sum, [flag, attribute]) => (flags & flag ? sum | attribute : sum), 0);
  const mounted = libc.fsmount(syscalls.fsmount, scope.fd, FSMOUNT_CLOEXEC, wanted);
  if (mounted === -1) throw new SysError(lastErrno(), "fsmount", `"${target}"`);
  using root = new Descriptor(mounted);
  const place = cString(target);
  if (libc.move_mount(syscalls.move_mount, root.fd, cString(""), AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) === -1) {
    throw new SysError(lastErrno(), "move_mount", `overlay on "${target}"`);
  }
}

/** Mounts by mount(2) with /proc/self/fd/N in place of each path. @throws SysError, invalidArgument */
export function mountByDescriptor({ source, target, flags, data }: OverlayMount): void {
  using scope = new DisposableStack();
  const shorten = (directory: string) => {
    const path = withoutEscapes(directory);
    return `/proc/self/fd/${scope.use(new Descriptor(open(path, openFlags.path | openFlags.directory))).fd}`;
  };
  const short = data.map((option) => {
    const [key, value] = splitOption(option);
    if (value === undefined || !/^(lower|upper|work)dir$/.test(key)) return option;
    if (key !== "lowerdir") return `${key}=${shorten(value)}`;
    return `lowerdir=${splitLayers(value)
      .map((directory) => (directory === "" ? "" : shorten(directory)))
      .join(":")}`;
  });
  const text = short.join(",");
  if (Buffer.byteLength(text) > 4095) {
    throw invalidArgument(`the overlay on "${target}" has too many layers for this kernel: use Linux 6.7 or newer`);
  }
  if (libc.mount(cString(source), cString(target), cString("overlay"), flags, cString(text)) === -1) {
    throw new SysError(lastErrno(), "mount", `"${source}" on "${target}" (type overlay)`);
  }
}

function splitOption(option: string): [key: string, value: string | undefined] {
  const equals = option.indexOf("=");
  return equals === -1 ? [option, undefined] : [option.slice(0, equals), option.slice(equals + 1)];
}

/** A label of SELinux stands in quotes, which mount(2) takes away and fsconfig(2) doesn't. */
function withoutQuotes(value: string): string {
  return value.replace(/^"(.*)"$/s, "$1");
}

/** Lower directories, nearest first; those behind an empty one hold data only (Documentation/filesystems/overlayfs.rst). */
function* layersOf(value: string): Generator<[key: string, directory: string]> {
  let key = "lowerdir+";
  for (const directory of splitLayers(value)) {
    if (directory === "") key = "datadir+";
    else yield [key, withoutEscapes(directory)];
  }
}

/** At each colon that has no backslash before it. */
function splitLayers(value: string): string[] {
  return value.split(/(?<!\\):/);
}

function withoutEscapes(directory: string): string {
  return directory.replace(/\\(.)/g, "$1");
}
