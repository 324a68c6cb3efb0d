import { chmodSync, chownSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { failedPrecondition, HullError, invalidArgument } from "@hull/errors";
import { type ByteLink, linkFactory } from "@hull/link";

/** Bytes of `sun_path`, the ending zero left out: unix(7). */
const longestPath = 107;

/** While it listens, a socket has this at the end of its name until its mode and owner are set. */
const unfinished = ".new";

export interface SocketOwner {
  uid: number;
  gid: number;
}

/**
 * Puts a listening unix socket with mode 0660 at `path`; `listen` makes it, at the path that it is given. A socket that an earlier
 * process left behind is replaced, one that answers is not. Disposing removes the file; the listener is the caller's to stop.
 * @throws FailedPrecondition if something answers there; InvalidArgument if the path is too long
 */
export async function placeSocket(
  path: string,
  owner: SocketOwner,
  listen: (path: string) => Promise<void>,
): Promise<Disposable> {
  if (Buffer.byteLength(path) + unfinished.length > longestPath) {
    const longest = longestPath - unfinished.length;
    throw invalidArgument(`socket path "${path}" is longer than ${longest} bytes: choose a shorter one`);
  }
  mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
  if (await answers(path)) {
    throw failedPrecondition(`another process is serving "${path}": stop it, or choose another address`);
  }
  const temporary = path + unfinished;
  rmSync(temporary, { force: true });
  await listen(temporary);
  // Nobody can connect before the mode is right, and nobody finds the path without a listener: the name comes last.
  chmodSync(temporary, 0o660);
  chownSync(temporary, owner.uid, owner.gid);
  renameSync(temporary, path);
  return { [Symbol.dispose]: () => rmSync(path, { force: true }) };
}

/** Accepts connections at a path, or of a descriptor that listens already, until disposed of; connections stay. */
export async function acceptAt(
  where: { path: string } | { fd: number },
  onLink: (link: ByteLink) => void,
): Promise<Disposable> {
  const { listen } = await linkFactory();
  try {
    const listener = await listen(where, onLink);
    return { [Symbol.dispose]: () => listener.stop() };
  } catch (error) {
    throw HullError.from(error);
  }
}

/** True if something accepts connections at `path`. */
export async function answers(path: string): Promise<boolean> {
  const { connect } = await linkFactory();
  try {
    const link = await connect({ path });
    link.destroy();
    return true;
  } catch {
    return false;
  }
}
