/** Connects a client of the streaming server to a container's streams, whoever keeps them. */

import { canceled } from "@hull/errors";
import type { ContainerStreams } from "../logs/index.ts";
import { copyIn, copyOut } from "./copy.ts";
import type { CommandStreams, Output } from "./streams.ts";

/**
 * Carries output to the client, and its input to the process, no faster than either takes it, until the output or the client has ended; see
 * `participate` of the shim for what the end of the input means.
 *
 * @param lost aborted when the client has gone
 * @throws FailedPrecondition when the process has ended before; ResourceExhausted when the client didn't take its output
 */
export async function attachClient(
  container: Pick<ContainerStreams, "attach">,
  { stdin, stdout, stderr }: Pick<CommandStreams, "stdin" | "stdout" | "stderr">,
  { lost }: { lost: AbortSignal },
): Promise<void> {
  const wishes = { stdin: stdin !== undefined, stdout: stdout !== undefined, stderr: stderr !== undefined };
  await using attached = await container.attach(wishes, { signal: lost });
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, lost]);
  const copy = async (fd: number | undefined, output: Output | undefined): Promise<void> => {
    if (fd !== undefined && output !== undefined) await copyOut(fd, output, signal);
  };
  if (stdin !== undefined && attached.stdin !== undefined) {
    // What becomes of the input doesn't concern the output.
    void copyIn(stdin, attached.stdin, signal).then(attached.endInput, () => {});
  }
  try {
    await Promise.all([attached.over, copy(attached.stdout, stdout), copy(attached.stderr, stderr)]);
  } catch (error) {
    // Nobody is left to be told.
    if (!lost.aborted) throw error;
  } finally {
    // Before the descriptors are closed, whose numbers may be others' at once.
    stop.abort(canceled("the client is no longer attached"));
  }
}
