/** The Streams service: the log, and attached clients, of the first processes of this shim's containers. */

import { type AttachRequest, StreamsDefinition } from "@hull/api/gen/hull/shim/v1/streams";
import { type BoundMethod, bindService } from "@hull/api/handler";
import type { ServiceImplementation } from "@hull/api/rpc";
import { failedPrecondition, invalidArgument, notFound } from "@hull/errors";
import type { Container } from "../container.ts";
import { participate } from "./participate.ts";
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
    async *attach(requests, { signal }) {
      const iterator = requests[Symbol.asyncIterator]();
      const { value: first } = await iterator.next();
      if (first === undefined) throw invalidArgument("attach: the request that names the container is missing");
      const outputs = participate(find(first.id), first, dataOf(iterator), signal);
      yield {};
      yield* outputs;
    },
  };
}

async function* dataOf(requests: AsyncIterator<AttachRequest>): AsyncGenerator<Uint8Array, void> {
  for await (const { data } of { [Symbol.asyncIterator]: () => requests }) yield data;
}
