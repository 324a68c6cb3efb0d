import { chmodSync, chownSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { dirname } from "node:path";
import { failedPrecondition, HullError, invalidArgument } from "@hull/errors";

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

/** Accepts connections at `path` until disposed of; connections stay. */
export async function acceptAt(path: string, onConnection: (socket: Socket) => void): Promise<Disposable> {
  const server = createServer(onConnection);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(HullError.from(error)));
    server.listen({ path }, resolve);
  });
  return { [Symbol.dispose]: () => server.close() };
}

/** True if something accepts connections at `path`. */
export function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
