/**
 * Mounts that show other owners than the files have (mount_setattr(2), "ID-mapped mounts"): file owners 0, 1, 2 … as what a mapping
 * makes of them, as containerd's mount options `uidmap=` and `gidmap=` say it: `<id of the file>:<id shown>:<count>`, by commas.
 */

import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { invalidArgument } from "@hull/errors";
import { syscalls } from "./arch.ts";
import { SysError } from "./errno.ts";
import { Descriptor, open, openFlags } from "./fd.ts";
import { lastErrno, libc } from "./libc.ts";
import { cString } from "./strings.ts";
import { userNamespace } from "./user-namespace.ts";

/** Ids of users and of groups, each as an option has it. */
export interface IdMapping {
  readonly uidmap: string;
  readonly gidmap: string;
}

/** One range of a mapping. */
export interface IdRange {
  /** The first id inside: a file's, a container's. */
  readonly inside: number;
  /** The first id that it is outside. */
  readonly outside: number;
  readonly size: number;
}

const largestId = 2 ** 32 - 2;

/** Reads `inside:outside:size` by commas. @throws InvalidArgument */
export function parseIdRanges(text: string): IdRange[] {
  return text.split(",").map((range) => {
    const match = /^(\d{1,10}):(\d{1,10}):(\d{1,10})$/.exec(range);
    const [inside, outside, size] = (match ?? []).slice(1).map(Number);
    if (inside === undefined || outside === undefined || size === undefined || size === 0) {
      throw invalidArgument(`"${range}" is not a range of ids: give it as <inside>:<outside>:<size>`);
    }
    if (inside + size - 1 > largestId || outside + size - 1 > largestId) {
      throw invalidArgument(`the range of ids "${range}" goes beyond ${largestId}`);
    }
    return { inside, outside, size };
  });
}

/** What an id inside is outside. @throws InvalidArgument if no range has it */
export function mappedId(ranges: readonly IdRange[], id: number): number {
  const range = ranges.find(({ inside, size }) => id >= inside && id < inside + size);
  if (range === undefined) throw invalidArgument(`id ${id} is in none of the mapped ranges`);
  return range.outside + id - range.inside;
}

const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const AT_RECURSIVE = 0x8000;
const OPEN_TREE_CLONE = 1;
const OPEN_TREE_CLOEXEC = 0o2000000;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MOUNT_ATTR_IDMAP = 0x100000n;
const MS_PRIVATE = 1n << 18n;

/** Attributes of a mount as mount_setattr(2) has them. */
export const mountAttributes = { readOnly: 1n, noSuid: 2n, noDevices: 4n, noExec: 8n } as const;

/** How `mountMapped` mounts. */
export interface MappedMountOptions {
  /** Of `mountAttributes`. */
  readonly attributes?: bigint;
  /** What is mounted or unmounted at the source isn't at the target, nor the other way round. */
  readonly alone?: boolean;
  /** What is mounted below the source comes too, with its ids as they are. */
  readonly below?: boolean;
}

/**
 * Mounts the directory or file `source` on `target` with mapped ids.
 *
 * @param mapping or the path of a user namespace that has it, which spares making one
 * @throws SysError EINVAL if the file system there can't be shown so; ENOSYS before Linux 5.12
 */
export function mountMapped(
  source: string,
  target: string,
  mapping: IdMapping | { readonly userNamespace: string },
  { attributes = 0n, alone = false, below = false }: MappedMountOptions = {},
): void {
  const clone = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (below ? AT_RECURSIVE : 0);
  const tree = libc.open_tree(syscalls.open_tree, AT_FDCWD, cString(source), clone);
  if (tree === -1) throw new SysError(lastErrno(), "open_tree", `"${source}"`);
  using root = new Descriptor(tree);
  using user = new Descriptor(
    "userNamespace" in mapping ? open(mapping.userNamespace, openFlags.readOnly) : userNamespaceOf(mapping),
  );
  const attribute = new BigUint64Array([MOUNT_ATTR_IDMAP | attributes, 0n, alone ? MS_PRIVATE : 0n, BigInt(user.fd)]);
  const empty = cString("");
  const size = attribute.byteLength;
  if (libc.mount_setattr(syscalls.mount_setattr, root.fd, empty, AT_EMPTY_PATH, attribute, size) === -1) {
    throw new SysError(lastErrno(), "mount_setattr", `"${source}" with mapped ids`);
  }
  const place = cString(target);
  if (libc.move_mount(syscalls.move_mount, root.fd, empty, AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) === -1) {
    throw new SysError(lastErrno(), "move_mount", `"${source}" on "${target}"`);
  }
}

/** A directory that shows others with mapped ids. Disposing takes it down; what is mounted on top of it stays. */
export interface MappedDirectories extends Disposable {
  /** The directories, in the order given. */
  readonly paths: readonly string[];
}

/** Shows directories, read-only, with mapped ids at other paths: an overlay's lower ones, which it can't map itself. */
export function mappedDirectories(
  directories: readonly string[],
  mapping: IdMapping,
  unmount: (target: string) => void,
): MappedDirectories {
  const common = commonDirectory(directories);
  const place = mkdtempSync(join(tmpdir(), "hull-mapped-"));
  try {
    // The overlay is often mounted below the common directory; taken down here, it would be there as well.
    mountMapped(common, place, mapping, { attributes: mountAttributes.readOnly, alone: true });
  } catch (error) {
    rmdirSync(place);
    throw error;
  }
  return {
    paths: directories.map((directory) => join(place, relative(common, directory))),
    [Symbol.dispose]: () => {
      unmount(place);
      rmdirSync(place);
    },
  };
}

function commonDirectory(directories: readonly string[]): string {
  let common = directories[0] ?? "/";
  for (const directory of directories) {
    while (common !== "/" && directory !== common && !directory.startsWith(`${common}/`)) common = dirname(common);
  }
  return common;
}

/** A user namespace with this mapping: a descriptor, which is the caller's. */
function userNamespaceOf({ uidmap, gidmap }: IdMapping): number {
  using child = userNamespace({ uids: parseIdRanges(uidmap), gids: parseIdRanges(gidmap) });
  return open(`/proc/${child.pid}/ns/user`, openFlags.readOnly);
}
