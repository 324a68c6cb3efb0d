import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { failedPrecondition, HullError } from "@hull/errors";
import { lockOwner, tryLock } from "@hull/sys/lock";

/** The file in a daemon's root that it holds locked. */
export const lockFile = "hull.lock";

/** Where containerd keeps its metadata, below its root. */
const containerdDatabase = "io.containerd.metadata.v1.bolt/meta.db";

/**
 * Makes this process the only one that works on `root` (made if missing) until it ends or disposes of the lock.
 * @throws FailedPrecondition if another process does, naming it; or if the root is a containerd's, whose metadata is in another format:
 *   what hull doesn't know of there, its garbage collector would delete
 */
export function lockRoot(root: string): Disposable {
  if (existsSync(join(root, containerdDatabase))) {
    throw failedPrecondition(
      `"${root}" belongs to a containerd: it has "${containerdDatabase}"; choose another directory as root`,
    );
  }
  return lockFolder(root);
}

/**
 * Makes this process the only one that works on a folder (made if missing), as above.
 * @throws FailedPrecondition if another one does, or this one already, saying which
 */
export function lockFolder(folder: string): Disposable {
  const file = join(folder, lockFile);
  const descriptor = openLock(folder, file);
  if (tryLock(descriptor)) return { [Symbol.dispose]: () => closeSync(descriptor) };
  closeSync(descriptor);
  const owner = lockOwner(file);
  const inUse = `"${folder}" is in use by`;
  if (owner === process.pid)
    throw failedPrecondition(
      `${inUse} process ${owner} (this one): close what it opened there, or choose another directory`,
    );
  const holder = owner === undefined ? "another process" : `process ${owner} (${commandOf(owner)})`;
  throw failedPrecondition(`${inUse} ${holder}: stop it, or choose another directory`);
}

function openLock(folder: string, file: string): number {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o711 });
    return openSync(file, "a", 0o600);
  } catch (error) {
    throw failedPrecondition(`"${folder}" can't be used: ${HullError.from(error).message}`, { cause: error });
  }
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
  } catch {
    return "just ended";
  }
}
