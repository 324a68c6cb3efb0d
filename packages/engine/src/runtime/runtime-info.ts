/** What a runtime says of itself: its shim's program, run with `-info`, prints a `containerd.types.RuntimeInfo`. */

import { RuntimeInfo } from "@hull/api/gen/containerd/types/introspection";
import { Any } from "@hull/api/gen/google/protobuf/any";
import { deadlineExceeded, unknown } from "@hull/errors";
import { startProgram } from "@hull/sys/program";
import type { TypedBytes } from "../labels.ts";

/** How long the program may take, ms. */
const limitMs = 10_000;

/** @throws Unknown with what the program printed, if it fails; DeadlineExceeded */
export async function runtimeInfo(command: readonly string[], options: TypedBytes | undefined): Promise<TypedBytes> {
  const stdin = options === undefined ? new Uint8Array() : Any.encode(options).finish();
  const signal = AbortSignal.timeout(limitMs);
  const argv = [...command, "-info"];
  const child = startProgram(argv, { stdio: [stdin, "pipe", "pipe"], signal });
  const [stdout, stderr, status] = await Promise.all([
    new Response(child.stdout).bytes(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (signal.aborted) throw deadlineExceeded(`"${argv.join(" ")}" took longer than ${limitMs} ms`);
  if (status !== 0) {
    throw unknown(`failed to run [${argv.join(" ")}]: exit status ${status} (stderr: ${JSON.stringify(stderr)})`);
  }
  try {
    RuntimeInfo.decode(stdout);
  } catch (cause) {
    throw unknown(`failed to unmarshal stdout from [${argv.join(" ")}] into RuntimeInfo`, { cause });
  }
  return { typeUrl: "containerd.types.RuntimeInfo", value: stdout };
}
