/** Connects a client of the streaming server to a container's streams, whoever keeps them. */

import type { ContainerStreams } from "../logs/index.ts";
import { type CommandStreams, type Output, sendAll } from "./streams.ts";

/**
 * Carries output to the client, and its input to the process, no faster than either takes it, until the output or the client has ended; see
 * `participate` of the shim for what the end of the input means.
 *
 * @param lost aborted when the client has gone
 * @throws FailedPrecondition when the process has ended before; ResourceExhausted when the client didn't take its output
 */
export async function attachClient(
  container: Pick<ContainerStreams, "attach">,
  client: Pick<CommandStreams, "stdin" | "stdout" | "stderr">,
  { lost }: { lost: AbortSignal },
): Promise<void> {
  const { stdin, stdout, stderr } = client;
  const wishes = { stdin: stdin !== undefined, stdout: stdout !== undefined, stderr: stderr !== undefined };
  const outputs = await container.attach(wishes, stdin ?? noInput(), { signal: lost });
  try {
    for await (const part of outputs) {
      await send(stdout, part.stdout);
      await send(stderr, part.stderr);
    }
  } catch (error) {
    // Nobody is left to be told.
    if (!lost.aborted) throw error;
  }
  stdout?.end();
  stderr?.end();
}

async function* noInput(): AsyncGenerator<Uint8Array, void> {}

async function send(output: Output | undefined, bytes: Uint8Array): Promise<void> {
  if (output !== undefined && bytes.length > 0) await sendAll(output, bytes);
}
