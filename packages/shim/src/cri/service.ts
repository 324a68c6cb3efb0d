/** The Streams service: the log, and attached clients, of the first processes of this shim's containers. */

import { StreamsDefinition } from "@hull/api/gen/hull/shim/v1/streams";
import { type BoundMethod, bindService } from "@hull/api/handler";
import type { ServiceImplementation } from "@hull/api/rpc";
import { failedPrecondition, notFound } from "@hull/errors";
import { close, open, openFlags } from "@hull/sys/fd";
import type { Container } from "../container.ts";
import type { ClientEnds } from "./attachment.ts";
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
    async *attach({ id, stdin, stdout, stderr }, { signal }) {
      const { over, input } = participate(find(id), openEnds({ stdin, stdout, stderr }), signal);
      yield { input: input?.path, inputInode: input?.inode };
      await over;
    },
  };
}

/** The client has opened the other ends. @throws SysError */
function openEnds({ stdin, stdout, stderr }: Record<keyof ClientEnds, string>): ClientEnds {
  using opened = new DisposableStack();
  const end = (path: string, flags: number): number | undefined => {
    if (path === "") return undefined;
    const fd = open(path, flags | openFlags.nonBlocking);
    opened.defer(() => close(fd));
    return fd;
  };
  const ends = {
    stdin: end(stdin, openFlags.readOnly),
    stdout: end(stdout, openFlags.writeOnly),
    stderr: end(stderr, openFlags.writeOnly),
  };
  opened.move();
  return ends;
}
