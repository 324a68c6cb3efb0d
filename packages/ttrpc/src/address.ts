import { unavailable, unimplemented } from "@hull/errors";

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
