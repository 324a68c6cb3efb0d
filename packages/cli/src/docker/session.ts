import { type Client, connect } from "@hull/client/client";
import { HullError, isCode, permissionDenied, unavailable } from "@hull/errors";
import type { Host } from "../command/index.ts";
import { type Globals, type Place, placeFlags, placeOf } from "./globals.ts";

/**
 * Connects to the daemon; starts one if none answers, and says so on stderr.
 * @throws Unavailable or PermissionDenied, saying what to do
 */
export async function openSession({ globals, host }: { globals: Globals; host: Host }): Promise<Client> {
  const place = placeOf(globals);
  const options = { address: place.address, namespace: globals.namespace };
  try {
    return await connect(options);
  } catch (error) {
    if (!isCode(error, "unavailable")) throw error;
    refuse(place, error);
  }
  const { startDaemon } = await import("./start-daemon.ts");
  const started = await startDaemon(place);
  if (started !== undefined) {
    const directories = placeFlags(place) === "" ? "" : ` --root ${place.root}`;
    host.err(
      `hull: started the daemon (pid ${started.pid}, log ${started.log}); "hull daemon stop${directories}" ends it\n`,
    );
  }
  return await connect(options);
}

/** Throws if a daemon must not, or can't, be started. */
function refuse({ address, startable }: Place, error: HullError): void {
  const code = codeOf(error.cause);
  if (code === "EACCES" || code === "EPERM")
    throw permissionDenied(`you may not use the daemon's socket "${address}": run hull as root, e.g. with sudo`);
  if (!startable)
    throw unavailable(
      `no daemon answers at "${address}": start it (hull daemon --address ${address} …), or leave --address and $CONTAINERD_ADDRESS out to have hull start its own`,
    );
  if (process.getuid?.() !== 0)
    throw permissionDenied(
      `no daemon answers at "${address}", and starting one takes root: run hull as root, e.g. with sudo`,
    );
}

function codeOf(cause: unknown): unknown {
  return cause instanceof Error && "code" in cause ? cause.code : undefined;
}

/** What is printed of an error. */
export function explain(thrown: unknown, globals: Readonly<Record<string, unknown>>): string {
  const error = HullError.from(thrown);
  if (globals.debug !== true) return error.message;
  return `${error.message}\n${error.stack ?? ""}`;
}
