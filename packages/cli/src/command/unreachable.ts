import type { HullError } from "@hull/errors";

/** What to do if no daemon can be reached; undefined for an error that is about something else. */
export function explainUnreachable(error: HullError, address: string): string | undefined {
  if (error.code !== "unavailable" || !error.message.startsWith("can't connect to")) return undefined;
  const { cause } = error;
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  switch (code) {
    case "EACCES":
    case "EPERM":
      return `no permission to use the daemon's socket "${address}": run this as root, or as a member of the socket's group`;
    case "ENOENT":
      return `no daemon: there is no socket "${address}". Start one with "hull daemon --address ${address}", or name another's with --address`;
    case "ECONNREFUSED":
      return `no daemon answers on the socket "${address}": it has ended. Start it again with "hull daemon --address ${address}"`;
    default:
      return undefined;
  }
}
