import { resolve } from "node:path";
import type { Logger } from "@hull/engine/log";
import { restWhenIdle } from "@hull/engine/rest";
import type { ByteLink } from "@hull/link";
import { parseAccess } from "./access/config.ts";
import type { DaemonConfig } from "./config/load.ts";
import type { ActivatedSockets } from "./server/activation.ts";
import { GrpcServer } from "./server/grpc.ts";
import { type Interceptor, intercept } from "./server/intercept.ts";
import type { Service } from "./server/service.ts";
import { acceptAt, placeSocket, type SocketOwner } from "./server/unix-socket.ts";

/** How long calls may still run when the daemon stops, ms. */
const stopGrace = 2000;

export interface ListenOptions {
  readonly config: DaemonConfig;
  readonly services: readonly Service[];
  readonly interceptors: readonly Interceptor[];
  /** Sockets that are listened at already. */
  readonly activated: ActivatedSockets;
  readonly log: Logger;
}

/**
 * Serves the gRPC services wherever the configuration says: at the socket, at sockets with limits, over TCP. Disposing takes the sockets
 * away, ends calls that wait and gives the others a moment.
 */
export async function listenGrpc(options: ListenOptions): Promise<AsyncDisposable> {
  const { config, services, interceptors, activated, log } = options;
  await using starting = new AsyncDisposableStack();
  const serve = (around: readonly Interceptor[]): ((link: ByteLink) => void) => {
    const server = new GrpcServer(intercept(services, around), {
      maxReceiveMessageSize: config.grpc.max_recv_message_size,
      maxSendMessageSize: config.grpc.max_send_message_size,
    });
    starting.defer(() => server.close(stopGrace));
    return (link) => {
      const gone = server.accept(link);
      restWhenIdle();
      // One that stays for long has had most of its work done after it came.
      void gone.then(restWhenIdle);
    };
  };
  const listen = async (path: string, owner: SocketOwner, accept: (link: ByteLink) => void): Promise<void> => {
    const fd = activated.take(path);
    // The file of a socket that the service manager opened is its own.
    if (fd !== undefined) starting.use(await acceptAt({ fd }, accept));
    else {
      const socket = await placeSocket(path, owner, async (temporary) => {
        starting.use(await acceptAt({ path: temporary }, accept));
      });
      starting.use(socket);
    }
  };
  const full = serve(interceptors);
  for (const { name, address, owner, ...limits } of parseAccess(config.access)) {
    const { limitAccess } = await import("./access/limit.ts");
    await listen(resolve(address), owner, serve([...interceptors, limitAccess(limits)]));
    log.log("info", "serving... (access)", { access: name, address, ...limits });
  }
  const { tcp_address, tcp_tls_cert: cert, tcp_tls_key: key, tcp_tls_ca: ca } = config.grpc;
  if (tcp_address !== "") {
    const { acceptTls } = await import("./server/tls.ts");
    const { port } = starting.use(await acceptTls(tcp_address, { cert, key, ca }, full));
    log.log("info", "serving... (tcp)", { address: tcp_address, port });
  }
  // Last: whoever sees this socket may take the daemon for ready.
  await listen(resolve(config.grpc.address), config.grpc, full);
  return starting.move();
}
