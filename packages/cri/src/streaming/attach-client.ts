/** Connects a client of the streaming server to a container's streams, whoever keeps them. */

import type { ContainerStreams } from "../logs/index.ts";
import { type CommandStreams, type Output, sendAll, type TerminalSize } from "./streams.ts";

/** What of the client is there, and what becomes of it. */
export interface AttachOptions {
  /** Aborted when the client has gone. */
  readonly lost: AbortSignal;
  /** Sets the size of the process's terminal. */
  readonly resize?: (size: TerminalSize) => Promise<void>;
}

/**
 * Carries output to the client, and its input to the process, no faster than either takes it, until the output or the client has ended; see
 * `participate` of the shim for what the end of the input means.
 *
 * @throws FailedPrecondition when the process has ended before; ResourceExhausted when the client didn't take its output
 */
export async function attachClient(
  container: Pick<ContainerStreams, "attach">,
  client: CommandStreams,
  { lost, resize }: AttachOptions,
): Promise<void> {
  const { stdin, stdout, stderr } = client;
  const wishes = { stdin: stdin !== undefined, stdout: stdout !== undefined, stderr: stderr !== undefined };
  const outputs = await container.attach(wishes, stdin ?? noInput(), { signal: lost });
  if (resize !== undefined && client.resize !== undefined) void followSize(client.resize, resize);
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

async function followSize(sizes: AsyncIterable<TerminalSize>, resize: (size: TerminalSize) => Promise<void>) {
  try {
    for await (const size of sizes) await resize(size).catch(() => {});
  } catch {
    // The client has gone.
  }
}
