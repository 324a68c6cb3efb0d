/**
 * A connected byte stream, reduced to what a protocol needs of it. `net.Socket` of Node and Bun's own socket each give one (`node.ts`,
 * `bun.ts`); Bun's takes a third less time per call and 8 MB less memory, which counts in a process per container.
 *
 *   start(receiver) ──► data … data ──► closed (once, always; nothing after it)
 */
export interface ByteLink {
  /** Begins to read. Called once. */
  start(receiver: LinkReceiver): void;
  /** Takes all of the bytes, which are then the link's. False means that they wait here: a long writer then awaits `drained`. */
  write(bytes: Uint8Array): boolean;
  /**
   * As `write`, but lends the bytes: they are the caller's again, to write into, when this returns true; after false, when `drained`
   * resolves.
   */
  writeLent(bytes: Uint8Array): boolean;
  /** Resolves when nothing waits to be written, or the link is closed. */
  drained(): Promise<void>;
  /** Stops and goes on reading. */
  pause(): void;
  resume(): void;
  /** Whether the link keeps this process from ending by itself; a socket does unless told. */
  keepAlive?(wanted: boolean): void;
  /** Closes after what was written has gone. */
  close(): void;
  /** Closes at once; what waits to be written is dropped. */
  destroy(): void;
}

/** Who takes what a link reads. */
export interface LinkReceiver {
  /** The chunk is the receiver's: the link never writes to it again. */
  data(chunk: Uint8Array): void;
  closed(cause?: unknown): void;
}

/** A place where links are accepted. */
export interface LinkListener {
  /** The port of a TCP address, also where port 0 had any chosen; 0 for other sockets. */
  readonly port: number;
  /** Accepts no more; those that were accepted stay. */
  stop(): void;
}

/** Where to connect to; or the descriptor of a socket that is connected already, which is the link's from then on. */
export type LinkTarget = { path: string } | { fd: number } | { host: string; port: number };

/**
 * Where to listen: a unix socket's path, which must be free; a descriptor that listens already; an address and port of TCP, whose links
 * are encrypted if there is a certificate.
 */
export type ListenTarget = { path: string } | { fd: number } | { host: string; port: number; tls?: KeyPair };

/** A certificate (chain) and its private key, in PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** A peer that asks to be accepted. */
export interface Peer {
  /** Descriptor of the connection, for SO_PEERCRED; -1 where the runtime doesn't tell. Not the callee's to close. */
  readonly fd: number;
}

/** The two ways to sockets, `bun.ts` and `node.ts`. Both reject with the runtime's error, which has a `code` (`ENOENT` …). */
export interface LinkFactory {
  connect(target: LinkTarget): Promise<ByteLink>;
  listen(target: ListenTarget, onLink: (link: ByteLink, peer: Peer) => void): Promise<LinkListener>;
}

/** The factory of the runtime that this is; the other's modules aren't loaded. */
export async function linkFactory(): Promise<LinkFactory> {
  return typeof Bun === "undefined" ? await import("./node.ts") : await import("./bun.ts");
}
