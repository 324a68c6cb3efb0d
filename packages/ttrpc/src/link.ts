import { unavailable, unimplemented } from "@hull/errors";

/**
 * A connected byte stream, reduced to what a ttrpc connection needs. `net.Socket` of Node and Bun's own socket each give one;
 * Bun's takes a third less time per call and 8 MB less memory, which counts in a process per container.
 *
 *   start(receiver) ──► data … data ──► closed (once, always; nothing after it)
 */
export interface ByteLink {
  /** Begins to read. Called once. */
  start(receiver: LinkReceiver): void;
  /** Takes all of the bytes, which are then the link's. False means that they wait here: a long writer then awaits `drained`. */
  write(bytes: Uint8Array): boolean;
  /** Resolves when nothing waits to be written, or the link is closed. */
  drained(): Promise<void>;
  /** Stops and goes on reading. */
  pause(): void;
  resume(): void;
  /** Closes after what was written has gone. */
  close(): void;
}

/** Who takes what a link reads. */
export interface LinkReceiver {
  /** The chunk is the receiver's: the link never writes to it again. */
  data(chunk: Uint8Array): void;
  closed(cause?: unknown): void;
}

/** A place where links are accepted. */
export interface LinkListener {
  /** Accepts no more; those that were accepted stay. */
  stop(): void;
}

/** Where to listen: a unix socket's path, which must be free, or a descriptor that listens already. */
export type ListenTarget = { path: string } | { fd: number };

/** A peer that asks to be accepted. */
export interface Peer {
  /** Descriptor of the connection, for SO_PEERCRED; -1 where the runtime doesn't tell. Not the callee's to close. */
  readonly fd: number;
}

/** The two ways to sockets, `link-bun.ts` and `link-node.ts`. */
export interface LinkFactory {
  connect(path: string): Promise<ByteLink>;
  listen(target: ListenTarget, onLink: (link: ByteLink, peer: Peer) => void): Promise<LinkListener>;
}

/** The factory of the runtime that this is; the other's modules aren't loaded. */
export async function linkFactory(): Promise<LinkFactory> {
  return typeof Bun === "undefined" ? await import("./link-node.ts") : await import("./link-bun.ts");
}

/**
 * The socket path of an address as shims print it: `unix://`, `ttrpc+unix://` or a bare path.
 *
 * @throws Unimplemented for other schemes (vsock, hvsock, grpc).
 */
export function socketPathOf(address: string): string {
  const [, scheme, path = ""] = /^([a-z+]+):\/\/(.*)$/.exec(address) ?? [undefined, "unix", address];
  if (scheme === "unix" || scheme === "ttrpc+unix") return path;
  throw unimplemented(`address "${address}" is not a unix socket, the only kind that ttrpc is spoken over here`);
}

/** The error for a socket that nobody answers on. */
export function cannotConnect(path: string, cause: unknown): Error {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return unavailable(`can't connect to the ttrpc socket "${path}": ${reason}`, { cause });
}
