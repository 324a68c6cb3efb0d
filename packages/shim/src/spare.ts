/**
 * A spare shim: started ahead of need, it listens already and waits on its standard input to be told whom it works for.
 *
 *   started ──"ready" on stdout──► spare ──a line of JSON──► assigned ──an empty line──► spare …
 *                                    └── end of input: its daemon has gone ──► (gone)
 *
 * While it keeps a container it outlives its daemon.
 */

import { rmSync, writeSync } from "node:fs";
import { invalidArgument } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { setNonBlocking } from "@hull/sys/fd";
import { linesOf, readStream } from "@hull/sys/stream";
import { beginAnew } from "./idle.ts";
import { detachStdio, type Identity, serve } from "./serve.ts";

/** What a line of JSON on the input holds. */
export type Assignment = Identity;

/** Serves as a spare on a socket. */
export async function serveAsSpare(socket: string): Promise<void> {
  let assigned = false;
  let next = Promise.withResolvers<Identity>();
  const serving = await serve(socket, () => next.promise);
  if (!tellReady()) {
    rmSync(socket, { force: true });
    process.exit(0);
  }
  detachStdio(1);
  // It may be long until it is wanted, and what its start has taken is three times what it needs.
  beginAnew();
  for await (const line of lines()) {
    if (line === "") beginAnew();
    if (line === "" || assigned) next = Promise.withResolvers<Identity>();
    assigned = line !== "";
    if (assigned) next.resolve(parseAssignment(line));
  }
  detachStdio(0);
  serving.orphan();
}

/** False if the daemon has gone already. The runtime's own way of writing would then wait for ever. */
function tellReady(): boolean {
  try {
    writeSync(1, "ready\n");
    return true;
  } catch (error) {
    if (!isErrno(error, "EPIPE")) throw error;
    return false;
  }
}

function lines(): AsyncGenerator<string, void> {
  setNonBlocking(0, true);
  // The runtime's own stream of standard input would cost this process a quarter of a megabyte for as long as it lives.
  return linesOf(readStream(0, { chunkSize: 1024 }));
}

function parseAssignment(line: string): Identity {
  const value: unknown = JSON.parse(line);
  if (
    typeof value === "object" &&
    value !== null &&
    "namespace" in value &&
    typeof value.namespace === "string" &&
    "eventsAddress" in value &&
    typeof value.eventsAddress === "string"
  ) {
    return { namespace: value.namespace, eventsAddress: value.eventsAddress };
  }
  throw invalidArgument(`"${line}" is not an assignment for a spare shim`);
}
