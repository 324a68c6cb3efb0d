/** How a client takes part in a process's streams, as containerd has it. */

import type { Attachment, OutputPart } from "./attachment.ts";
import type { CriStreams } from "./streams.ts";

/** Which streams a client takes part in. */
export interface StreamWishes {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

/**
 * Gives a client output from now on, and the process what the client brings.
 *
 * It ends with the output. With the end of the input it ends as well, unless that is the end of the process's input: then the client stays to
 * see what the process makes of it. A client's input that the process doesn't take, because it has none, means nothing.
 *
 * @param signal aborted when the client has gone
 * @throws FailedPrecondition when the process has ended, at once; ResourceExhausted for a client that doesn't take what it is given
 */
export function participate(
  streams: CriStreams,
  { stdin, stdout, stderr }: StreamWishes,
  input: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<OutputPart, void> {
  const client = streams.attach({ stdout, stderr });
  const leave = (): void => streams.leave(client);
  if (signal.aborted) leave();
  signal.addEventListener("abort", leave, { once: true });
  if (stdin && streams.input !== undefined) void feed(streams, input, client);
  else if (!stdout && !stderr) leave();
  return (async function* () {
    try {
      yield* client;
    } finally {
      signal.removeEventListener("abort", leave);
      leave();
    }
  })();
}

async function feed(streams: CriStreams, input: AsyncIterable<Uint8Array>, client: Attachment): Promise<void> {
  try {
    for await (const data of input) {
      if (streams.input === undefined) break;
      await streams.input.write(data);
    }
  } catch {
    // The client has gone, or the process doesn't read any more: either is the end.
  }
  const stays = streams.input?.endsWithClient === true;
  if (stays) streams.closeInput();
  if (!stays || !client.wantsAny) client.end();
}
