import { connect as connectSocket, createServer, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createServer as createTlsServer } from "node:tls";
import type { ByteLink, LinkListener, LinkReceiver, LinkTarget, ListenTarget, Peer } from "./index.ts";

/** A link over any duplex stream of bytes, which it then owns. */
export function overDuplex(duplex: Duplex): ByteLink {
  return new DuplexLink(duplex);
}

/** Connects; rejects with the runtime's error if nobody answers. */
export function connect(target: LinkTarget): Promise<ByteLink> {
  if ("fd" in target) return Promise.resolve(overDuplex(new Socket(target)));
  return new Promise((resolve, reject) => {
    const socket = connectSocket(target);
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(overDuplex(socket));
    });
  });
}

/** Listens; rejects with the runtime's error if that can't be. */
export function listen(target: ListenTarget, onLink: (link: ByteLink, peer: Peer) => void): Promise<LinkListener> {
  return new Promise((resolve, reject) => {
    const accept = (socket: Socket): void => onLink(overDuplex(socket), { fd: descriptorOf(socket) });
    const tls = "tls" in target ? target.tls : undefined;
    const server = tls === undefined ? createServer(accept) : createTlsServer({ ...tls }, accept);
    server.once("error", reject);
    server.listen(target, () => {
      server.off("error", reject);
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      resolve({ port, stop: () => void server.close() });
    });
  });
}

/** Node has no public way to a socket's descriptor. */
function descriptorOf(socket: object): number {
  const { fd } = (socket as { _handle?: { fd?: number } })._handle ?? {};
  return fd ?? -1;
}

class DuplexLink implements ByteLink {
  readonly #duplex: Duplex;

  constructor(duplex: Duplex) {
    this.#duplex = duplex;
  }

  start(receiver: LinkReceiver): void {
    let cause: unknown;
    this.#duplex.on("data", (chunk: Uint8Array) => receiver.data(chunk));
    this.#duplex.on("error", (error) => {
      cause = error;
    });
    this.#duplex.once("close", () => receiver.closed(cause));
    // The other side is done with us; None of the protocols here has half-closed connections.
    this.#duplex.once("end", () => this.#duplex.destroy());
  }

  write(bytes: Uint8Array): boolean {
    return this.#duplex.destroyed || this.#duplex.write(bytes);
  }

  writeLent(bytes: Uint8Array): boolean {
    // Node may hold what it is given after it said that there is room for more.
    return this.write(bytes.slice());
  }

  drained(): Promise<void> {
    if (this.#duplex.destroyed || !this.#duplex.writableNeedDrain) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#duplex.off("drain", done);
        this.#duplex.off("close", done);
        resolve();
      };
      this.#duplex.on("drain", done);
      this.#duplex.on("close", done);
    });
  }

  pause(): void {
    this.#duplex.pause();
  }

  resume(): void {
    this.#duplex.resume();
  }

  keepAlive(wanted: boolean): void {
    if (!(this.#duplex instanceof Socket)) return;
    if (wanted) this.#duplex.ref();
    else this.#duplex.unref();
  }

  close(): void {
    this.#duplex.end(() => this.#duplex.destroy());
  }

  destroy(): void {
    this.#duplex.destroy();
  }
}
