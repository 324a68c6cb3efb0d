import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { failedPrecondition } from "@hull/errors";
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
      `"${root}" belongs to a containerd: it has "${containerdDatabase}". Choose another directory with --root`,
    );
  }
  mkdirSync(root, { recursive: true, mode: 0o711 });
  const file = join(root, lockFile);
  const descriptor = openSync(file, "a", 0o600);
  if (tryLock(descriptor)) return { [Symbol.dispose]: () => closeSync(descriptor) };
  closeSync(descriptor);
  const owner = lockOwner(file);
  const holder = owner === undefined ? "another process" : `process ${owner} (${commandOf(owner)})`;
  throw failedPrecondition(`"${root}" is in use by ${holder}: stop it, or choose another directory with --root`);
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
  } catch {
    return "just ended";
  }
}
