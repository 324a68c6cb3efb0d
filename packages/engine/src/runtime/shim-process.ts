/**
 * Starting shims of others: the program is run with the action `start`, prints the address of the process it left serving, and ends.
 *
 * Protocol: containerd's runtime v2.
 */

import { dirname } from "node:path";
import { DeleteResponse } from "@hull/api/gen/containerd/task/v3/task";
import { Any } from "@hull/api/gen/google/protobuf/any";
import { deadlineExceeded, unknown } from "@hull/errors";
import { startProgram } from "@hull/sys/program";
import type { TypedBytes } from "../labels.ts";
import { type Bootstrap, type Bundle, parseBootstrap } from "./bundle.ts";

/** What a shim is told of its daemon. */
export interface DaemonAddress {
  /** The gRPC socket. */
  readonly grpc: string;
  /** The ttrpc socket, to which events go. */
  readonly ttrpc: string;
  /** The daemon's program. */
  readonly binary: string;
}

/** Starts a shim. @throws Unknown with what it printed, if it fails */
export async function startShim(
  program: string,
  bundle: Bundle,
  options: { daemon: DaemonAddress; runtimeOptions?: TypedBytes; signal: AbortSignal },
): Promise<Bootstrap> {
  const { daemon, runtimeOptions } = options;
  const stdin = runtimeOptions === undefined ? new Uint8Array() : Any.encode(runtimeOptions).finish();
  const stdout = await runAction([program, ...flagsOf(bundle, daemon), "start"], bundle, {
    env: environmentOf(bundle, daemon),
    stdin,
    signal: options.signal,
  });
  const bootstrap = parseBootstrap(new TextDecoder().decode(stdout));
  if (bootstrap === undefined)
    throw unknown(`shim "${program}" of task "${bundle.id}" started, but printed no address`);
  return bootstrap;
}

/** Has a shim's program clean up what a dead shim left. @throws DeadlineExceeded; Unknown */
export async function cleanUp(
  command: readonly string[],
  bundle: Bundle,
  options: { daemon: DaemonAddress; timeoutMs: number },
): Promise<DeleteResponse> {
  const { daemon, timeoutMs } = options;
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const argv = [...command, ...flagsOf(bundle, daemon), "-bundle", bundle.path, "delete"];
    const env = environmentOf(bundle, daemon);
    return DeleteResponse.decode(await runAction(argv, bundle, { env, stdin: new Uint8Array(), signal }));
  } catch (error) {
    if (!signal.aborted) throw error;
    throw deadlineExceeded(`cleaning up task "${bundle.id}" took longer than ${timeoutMs} ms`, { cause: error });
  }
}

function flagsOf({ namespace, id }: Bundle, { grpc, binary }: DaemonAddress): string[] {
  return ["-namespace", namespace, "-address", grpc, "-publish-binary", binary, "-id", id];
}

function environmentOf({ namespace }: Bundle, { grpc, ttrpc }: DaemonAddress): Record<string, string> {
  const own = {
    GOMAXPROCS: "2",
    MAX_SHIM_VERSION: "2",
    TTRPC_ADDRESS: ttrpc,
    GRPC_ADDRESS: grpc,
    NAMESPACE: namespace,
  };
  return { ...process.env, ...own };
}

async function runAction(
  argv: string[],
  bundle: Bundle,
  { env, stdin, signal }: { env: Record<string, string>; stdin: Uint8Array; signal: AbortSignal },
): Promise<Uint8Array> {
  // A session of its own: a signal from the daemon's terminal must not reach the shim.
  const child = startProgram(argv, { cwd: bundle.path, env, stdio: [stdin, "pipe", "pipe"], detached: true, signal });
  const [stdout, stderr, status] = await Promise.all([
    new Response(child.stdout).bytes(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (status === 0) return stdout;
  const said = `${new TextDecoder().decode(stdout)}${stderr}`.trim();
  const what = `${dirname(argv[0] ?? "") === "." ? "" : "shim "}"${argv[0]}" ${argv.at(-1)}`;
  throw unknown(`${what} of task "${bundle.id}" failed with status ${status}: ${said}`);
}
