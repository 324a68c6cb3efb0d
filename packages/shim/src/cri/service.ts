/** The Streams service: the log, and attached clients, of the first processes of this shim's containers. */

import { type AttachRequest, type AttachResponse, StreamsDefinition } from "@hull/api/gen/hull/shim/v1/streams";
import { type BoundMethod, bindService } from "@hull/api/handler";
import type { CallContext, ServiceImplementation } from "@hull/api/rpc";
import { failedPrecondition, invalidArgument, notFound } from "@hull/errors";
import type { Container } from "../container.ts";
import type { Attachment } from "./attachment.ts";
import type { CriStreams } from "./streams.ts";

type Containers = ReadonlyMap<string, Pick<Container, "init">>;

/** The service's methods, for one process. */
export function boundStreamsService(containers: Containers): ReadonlyMap<string, BoundMethod> {
  return bindService(StreamsDefinition, streamsService(containers));
}

/** The handlers. */
export function streamsService(containers: Containers): ServiceImplementation<typeof StreamsDefinition> {
  const find = (id: string): CriStreams => {
    const container = containers.get(id);
    if (container === undefined) throw notFound(`container not created "${id}"`);
    const streams = container.init.streams?.cri;
    if (streams === undefined) {
      throw failedPrecondition(
        `container "${id}" was not created with streams of the scheme "cri", or has not started`,
      );
    }
    return streams;
  };
  return {
    async reopenLog({ id }) {
      find(id).reopen();
      return {};
    },
    async *attach(requests, call) {
      const iterator = requests[Symbol.asyncIterator]();
      const { value: first } = await iterator.next();
      if (first === undefined) throw invalidArgument("attach: the request that names the container is missing");
      yield* attach(find(first.id), first, iterator, call);
    },
  };
}

async function* attach(
  streams: CriStreams,
  { stdin, stdout, stderr }: AttachRequest,
  requests: AsyncIterator<AttachRequest>,
  { signal }: CallContext,
): AsyncGenerator<Partial<AttachResponse>, void> {
  const client = streams.attach({ stdout, stderr });
  const leave = (): void => streams.leave(client);
  signal.addEventListener("abort", leave, { once: true });
  try {
    yield {};
    if (stdin && streams.input !== undefined) void feed(streams, requests, client).finally(() => requests.return?.());
    else if (!stdout && !stderr) return;
    yield* client;
  } finally {
    signal.removeEventListener("abort", leave);
    leave();
  }
}

/**
 * Gives the process what a client writes. When that ends the client leaves, as with containerd; but one whose end was the process's stays to
 * see what the process makes of it.
 */
async function feed(streams: CriStreams, requests: AsyncIterator<AttachRequest>, client: Attachment): Promise<void> {
  try {
    for (let next = await requests.next(); !next.done; next = await requests.next()) {
      const { input } = streams;
      if (input === undefined) break;
      await input.write(next.value.data);
    }
  } catch {
    // The client has gone, or the process doesn't read any more: either is the end.
  }
  const stays = streams.input?.endsWithClient === true;
  if (stays) streams.closeInput();
  if (!stays || !client.wantsAny) client.end();
}
