/**
 * A spare shim: started ahead of need, it listens already and waits on its standard input to be told whom it works for.
 *
 *   started ──"ready" on stdout──► waiting ──assignment on stdin──► serving
 *                                     └── end of stdin: its daemon has gone ──► (gone)
 */

import { rmSync } from "node:fs";
import { invalidArgument } from "@hull/errors";
import { detachStdio, type Identity, serve } from "./serve.ts";

/** One line of JSON on the spare's standard input. */
export type Assignment = Identity;

/** Serves as a spare on a socket. */
export async function serveAsSpare(socket: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<Identity>();
  await serve(socket, promise);
  await Bun.write(Bun.stdout, "ready\n");
  const line = await firstLine();
  if (line === undefined) {
    rmSync(socket, { force: true });
    process.exit(0);
  }
  resolve(parseAssignment(line));
  detachStdio(0, 1);
}

async function firstLine(): Promise<string | undefined> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of Bun.stdin.stream()) {
    text += decoder.decode(chunk, { stream: true });
    const end = text.indexOf("\n");
    if (end !== -1) return text.slice(0, end);
  }
  return undefined;
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
