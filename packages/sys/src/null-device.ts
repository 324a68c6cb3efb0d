import { syscalls } from "./arch.ts";
import { isErrno, SysError } from "./errno.ts";
import { Descriptor, open, openFlags } from "./fd.ts";
import { lastErrno, libc } from "./libc.ts";
import { cString } from "./strings.ts";

const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const OPEN_TREE_CLONE = 1;
const OPEN_TREE_CLOEXEC = 0o2000000;
const MOUNT_ATTR_RDONLY = 1n;

/**
 * Opens /dev/null so that whoever is handed the descriptor can read and write it, but can't change the node's owner or mode: it is on a
 * mount of its own that is read-only and nowhere to be found (open_tree(2), mount_setattr(2)). Programs do: crun before 1.9 gives its standard
 * streams to the container's user, and every other user of the host loses them. Before Linux 5.12, and without the right to mount, it is the plain one.
 *
 * @returns the descriptor, which is the caller's
 */
export function openNull(): number {
  try {
    using tree = new Descriptor(readOnlyTree("/dev/null"));
    return open(`/proc/self/fd/${tree.fd}`, openFlags.readWrite);
  } catch (error) {
    if (!isErrno(error, "ENOSYS", "EPERM", "ENOENT")) throw error;
    return open("/dev/null", openFlags.readWrite);
  }
}

function readOnlyTree(path: string): number {
  const tree = libc.open_tree(syscalls.open_tree, AT_FDCWD, cString(path), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree === -1) throw new SysError(lastErrno(), "open_tree", `"${path}"`);
  using opened = new Descriptor(tree);
  const attributes = new Uint8Array(new BigUint64Array([MOUNT_ATTR_RDONLY, 0n, 0n, 0n]).buffer);
  const empty = cString("");
  if (libc.mount_setattr(syscalls.mount_setattr, tree, empty, AT_EMPTY_PATH, attributes, attributes.length) === -1)
    throw new SysError(lastErrno(), "mount_setattr", `"${path}" read-only`);
  return opened.release();
}
