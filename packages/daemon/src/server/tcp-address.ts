import { invalidArgument } from "@hull/errors";

/**
 * `host:port`, `[::1]:port`, or `:port` for every address of the machine. `what` says in the error whose address it is.
 * @throws InvalidArgument
 */
export function parseTcpAddress(address: string, what: string): { hostname: string; port: number } {
  const [, bracketed, plain = "", port = ""] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(address) ?? [];
  if (port === "" || Number(port) > 65535) {
    throw invalidArgument(`${what} address "${address}" must be a host and a port, such as "127.0.0.1:1338"`);
  }
  const hostname = bracketed ?? plain;
  return { hostname: hostname === "" ? "::" : hostname, port: Number(port) };
}
