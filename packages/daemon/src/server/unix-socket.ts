import { chmodSync, chownSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { failedPrecondition, HullError, invalidArgument } from "@hull/errors";

/** Bytes of `sun_path`, the ending zero left out: unix(7). */
const longestPath = 107;

/** While it listens, a socket has this at the end of its name until its mode and owner are set. */
const unfinished = ".new";

export interface UnixSocketOptions {
  uid?: number;
  gid?: number;
  onConnection(socket: Socket): void;
}

/**
 * Listens on a unix socket with mode 0660. A socket that an earlier process left behind is replaced; one that answers is not.
 * Closing stops accepting and removes the file; connections stay.
 * @throws FailedPrecondition if something answers there; InvalidArgument if the path is too long
 */
export async function listenUnix(path: string, options: UnixSocketOptions): Promise<AsyncDisposable> {
  if (Buffer.byteLength(path) + unfinished.length > longestPath) {
    throw invalidArgument(
      `socket path "${path}" is longer than ${longestPath - unfinished.length} bytes: choose a shorter one`,
    );
  }
  mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
  if (await answers(path)) {
    throw failedPrecondition(`another process is serving "${path}": stop it, or choose another address`);
  }
  const temporary = path + unfinished;
  rmSync(temporary, { force: true });
  const server = createServer({ noDelay: true }, options.onConnection);
  await listening(server, temporary);
  // Nobody can connect before the mode is right, and nobody finds the path without a listener: the name comes last.
  chmodSync(temporary, 0o660);
  chownSync(temporary, options.uid ?? 0, options.gid ?? 0);
  renameSync(temporary, path);
  return {
    async [Symbol.asyncDispose]() {
      rmSync(path, { force: true });
      server.close();
    },
  };
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(HullError.from(error)));
    server.listen({ path }, resolve);
  });
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
