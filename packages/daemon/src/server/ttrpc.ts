import type { EventExchange } from "@hull/engine/events/index";
import { shimEventsDefinition, shimEventsService } from "@hull/engine/runtime/events-service";

import { peerCredentials } from "@hull/sys/socket";
import { type ListenTarget, type Peer, TtrpcServer } from "@hull/ttrpc";
import { placeSocket, type SocketOwner } from "./unix-socket.ts";

/**
 * Serves what shims call: events of their containers, from processes of the daemon's own user alone. `activated` is a descriptor that
 * listens at `path` already, whose file somebody else owns.
 */
export async function serveTtrpc(
  path: string,
  owner: SocketOwner,
  events: EventExchange,
  activated?: number,
): Promise<AsyncDisposable> {
  const server = new TtrpcServer().register(shimEventsDefinition, shimEventsService(events));
  const listen = (target: ListenTarget): Promise<void> => server.listen(target, { authorize: isOwnUser });
  if (activated !== undefined) {
    await listen({ fd: activated });
    return server;
  }
  const socket = await placeSocket(path, owner, (temporary) => listen({ path: temporary }));
  return {
    async [Symbol.asyncDispose]() {
      socket[Symbol.dispose]();
      await server.close();
    },
  };
}

const isOwnUser = ({ fd }: Peer): boolean => peerCredentials(fd).user === process.getuid?.();
