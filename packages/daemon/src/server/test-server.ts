import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectGrpc, type GrpcConnection } from "@hull/client/transport/grpc";
import { GrpcServer } from "./grpc.ts";
import type { Service } from "./service.ts";
import { acceptAt, placeSocket } from "./unix-socket.ts";

export const self = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

/** A server for a test. */
export interface TestServer extends AsyncDisposable {
  readonly path: string;
  readonly server: GrpcServer;
  readonly connection: GrpcConnection;
}

/** Serves on a socket of its own, and connects to it. */
export async function serve(services: Service[]): Promise<TestServer> {
  const stack = new AsyncDisposableStack();
  const directory = mkdtempSync(join(tmpdir(), "hull-grpc-"));
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, "s");
  const server = new GrpcServer(services);
  stack.defer(() => server.close(200));
  stack.use(
    await placeSocket(path, self, async (at) => {
      stack.use(await acceptAt({ path: at }, (link) => void server.accept(link)));
    }),
  );
  const connection = await connectGrpc(path);
  stack.defer(() => connection.close());
  return { path, server, connection, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** What a promise is rejected with. Bun's own `rejects` waits in a loop within the loop, where a server in this process can stall. */
export const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );
