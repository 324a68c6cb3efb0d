import type { EventExchange } from "@hull/engine/events/index";
import { shimEventsDefinition, shimEventsService } from "@hull/engine/runtime/events-service";
import { peerCredentials } from "@hull/sys/socket";
import { type Peer, TtrpcServer } from "@hull/ttrpc";
import { placeSocket, type SocketOwner } from "./unix-socket.ts";

/** Serves what shims call: events of their containers, from processes of the daemon's own user alone. */
export async function serveTtrpc(path: string, owner: SocketOwner, events: EventExchange): Promise<AsyncDisposable> {
  const server = new TtrpcServer().register(shimEventsDefinition, shimEventsService(events));
  const socket = await placeSocket(path, owner, (temporary) =>
    server.listen({ path: temporary }, { authorize: isOwnUser }),
  );
  return {
    async [Symbol.asyncDispose]() {
      socket[Symbol.dispose]();
      await server.close();
    },
  };
}

const isOwnUser = ({ fd }: Peer): boolean => peerCredentials(fd).user === process.getuid?.();
