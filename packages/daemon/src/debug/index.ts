import type { LevelLogger } from "../log.ts";
import type { Interceptor } from "../server/intercept.ts";
import { parseTcpAddress } from "../server/tcp-address.ts";
import { placeSocket, type SocketOwner } from "../server/unix-socket.ts";
import { RunningCalls } from "./calls.ts";
import { debugHandler } from "./handler.ts";

/**
 * The debug socket: profiles in the format of `go tool pprof`, as `ctr pprof` asks for them, and the level of the log.
 *
 *   startDebug(options) ──GET /debug/…──► a profile taken when it is asked for ──dispose──► the socket gone
 *
 * Nothing is measured in between. What containerd gives and hull can't is answered with 501 and what there is instead.
 */
export interface DebugOptions {
  /** A path for a unix socket, else host:port. */
  readonly address: string;
  readonly owner: SocketOwner;
  readonly log: LevelLogger;
}

export interface RunningDebug extends AsyncDisposable {
  /** Remembers the calls that run. */
  readonly interceptor: Interceptor;
}

/** @throws what `placeSocket` throws; InvalidArgument for an address that is neither; Unavailable if the port can't be had */
export async function startDebug({ address, owner, log }: DebugOptions): Promise<RunningDebug> {
  const calls = new RunningCalls();
  // A profile takes as long as its asker wants. The types know no limit for unix sockets, but the default one holds there too.
  const common: { fetch: (request: Request) => Promise<Response> } = Object.assign(
    { fetch: debugHandler(calls, log) },
    { idleTimeout: 0 },
  );
  if (!address.startsWith("/")) {
    const server = Bun.serve({ ...common, ...parseTcpAddress(address, "debug") });
    return { interceptor: calls.interceptor, [Symbol.asyncDispose]: () => server.stop(true) };
  }
  let stop = async (): Promise<void> => {};
  const socket = await placeSocket(address, owner, async (unix) => {
    const server = Bun.serve({ ...common, unix });
    stop = () => server.stop(true);
  });
  return {
    interceptor: calls.interceptor,
    async [Symbol.asyncDispose]() {
      socket[Symbol.dispose]();
      await stop();
    },
  };
}
