/** How a client takes part in a process's streams, as containerd has it. */

import type { PipePlace } from "@hull/sys/pipe-place";
import type { Attachment, ClientEnds } from "./attachment.ts";
import type { CriStreams } from "./streams.ts";

/** A client's. */
interface Participation {
  readonly over: Promise<void>;
  readonly input: PipePlace | undefined;
}

/**
 * Gives a client output from now on, and the process what the client brings.
 *
 * It ends with the output. With the end of the input it ends as well, unless that is the end of the process's input: then the client stays to
 * see what the process makes of it. A client's input that the process doesn't take, because it has none, means nothing.
 *
 * @param ends the client's from then on, also when this fails
 * @param signal aborted when the client has gone
 * @returns `over` resolves when it has ended, and is rejected (ResourceExhausted) for a client that doesn't take what it is given; `input` is
 * where the client may write itself instead of into its `stdin`, whose end is the end of its input all the same
 * @throws FailedPrecondition when the process has ended
 */
export function participate(streams: CriStreams, ends: ClientEnds, signal: AbortSignal): Participation {
  const client = streams.attach(ends);
  const leave = (): void => streams.leave(client);
  if (signal.aborted) leave();
  signal.addEventListener("abort", leave, { once: true });
  const input = ends.stdin === undefined ? undefined : streams.input;
  if (input !== undefined) void feed(streams, client);
  else if (!client.wantsAny) leave();
  const over = client.over.finally(() => {
    signal.removeEventListener("abort", leave);
    leave();
  });
  return { over, input: input?.place };
}

async function feed(streams: CriStreams, client: Attachment): Promise<void> {
  try {
    if (client.input !== undefined) await streams.input?.take(client.input, client.signal);
  } catch {
    // The client has gone, or the process doesn't read any more: either is the end.
  }
  const stays = streams.input?.endsWithClient === true;
  if (stays) streams.closeInput();
  if (!stays || !client.wantsAny) client.finish();
}
