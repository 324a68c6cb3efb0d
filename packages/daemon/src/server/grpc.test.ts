import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ContentDefinition } from "@hull/api/gen/containerd/services/content/v1/content";
import { EventsDefinition } from "@hull/api/gen/containerd/services/events/v1/events";
import { VersionDefinition } from "@hull/api/gen/containerd/services/version/v1/version";
import { HealthDefinition } from "@hull/api/gen/grpc/health/v1/health";
import type { ServiceImplementation } from "@hull/api/rpc";
import { connectGrpc } from "@hull/client/transport/grpc";
import { notFound } from "@hull/errors";
import { healthService } from "../services/health.ts";
import { versionService } from "../services/version.ts";
import { GrpcServer } from "./grpc.ts";
import { type Service, service } from "./service.ts";
import { acceptAt, placeSocket } from "./unix-socket.ts";

const directory = mkdtempSync(join(tmpdir(), "hull-grpc-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const self = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

let number = 0;

/** What a promise is rejected with. Bun's own `rejects` waits in a loop within the loop, where a server in this process can stall. */
const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

/** A server on a socket of its own, and a connection to it. */
async function serve(services: Service[]) {
  const stack = new AsyncDisposableStack();
  const path = join(directory, `${++number}.sock`);
  const server = new GrpcServer(services);
  stack.defer(() => server.close(200));
  stack.use(
    await placeSocket(path, self, async (at) => {
      stack.use(await acceptAt(at, (socket) => server.accept(socket)));
    }),
  );
  const connection = await connectGrpc(path);
  stack.defer(() => connection.close());
  return { path, server, connection, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

describe("gRPC server", () => {
  test("answers calls, with errors that carry code and class text", async () => {
    const content: Partial<ServiceImplementation<typeof ContentDefinition>> = {
      async info({ digest }) {
        throw notFound(`content ${digest} \ud800`);
      },
    };
    await using at = await serve([versionService("1.2", "abc"), service(ContentDefinition, content)]);
    expect(await at.connection.client(VersionDefinition).version({})).toEqual({ version: "1.2", revision: "abc" });
    const error = await failureOf(at.connection.client(ContentDefinition).info({ digest: "sha256:1" }));
    expect(error).toMatchObject({ code: "notFound" });
    expect(String(error)).toContain("content sha256:1 \ufffd");
  });

  test("names what nobody serves as containerd does", async () => {
    await using at = await serve([service(ContentDefinition, {})]);
    expect(await failureOf(at.connection.client(VersionDefinition).version({}))).toMatchObject({
      code: "unimplemented",
      message: "unknown service containerd.services.version.v1.Version",
    });
  });

  test("passes streams both ways, and their cancellation", async () => {
    const { promise: ended, resolve: end } = Promise.withResolvers<unknown>();
    const content: ServiceImplementation<typeof ContentDefinition> = {
      async *write(requests) {
        for await (const { data } of requests) yield { offset: BigInt(data.length) };
      },
      async *read(_, call) {
        try {
          for (let i = 0; !call.signal.aborted; i++) yield { offset: BigInt(i), data: new Uint8Array(1 << 20) };
        } finally {
          end(call.signal.reason);
        }
      },
    };
    await using at = await serve([service(ContentDefinition, content)]);
    const client = at.connection.client(ContentDefinition);
    async function* requests() {
      for (const size of [1, 2, 3_000_000]) yield { data: new Uint8Array(size) };
    }
    const sizes = [];
    for await (const { offset } of client.write(requests())) sizes.push(offset);
    expect(sizes).toEqual([1n, 2n, 3_000_000n]);
    for await (const { offset } of client.read({})) if (offset === 20n) break;
    expect(await ended).toMatchObject({ code: "canceled" });
  });

  test("a client may leave thousands of calls early", async () => {
    const content: ServiceImplementation<typeof ContentDefinition> = {
      async *read(_, call) {
        while (!call.signal.aborted) yield { data: new Uint8Array(10) };
      },
    };
    await using at = await serve([service(ContentDefinition, content)]);
    const client = at.connection.client(ContentDefinition);
    for (let i = 0; i < 2500; i++) for await (const _ of client.read({})) break;
  }, 30_000);

  test("closing ends what waits, and says why", async () => {
    const events: ServiceImplementation<typeof EventsDefinition> = {
      async *subscribe(_, call) {
        yield { topic: "/ready" };
        await new Promise((_resolve, reject) =>
          call.signal.addEventListener("abort", () => reject(call.signal.reason)),
        );
      },
    };
    await using at = await serve([service(EventsDefinition, events)]);
    const stream = at.connection.client(EventsDefinition).subscribe({})[Symbol.asyncIterator]();
    expect((await stream.next()).value).toMatchObject({ topic: "/ready" });
    const next = failureOf(stream.next());
    const began = performance.now();
    await at.server.close(5000);
    expect(await next).toMatchObject({ code: "unavailable" });
    expect(performance.now() - began).toBeLessThan(3000);
  });

  test("health: the daemon serves, other names are not known", async () => {
    await using at = await serve([healthService()]);
    const client = at.connection.client(HealthDefinition);
    expect(await client.check({})).toEqual({ status: 1 });
    expect(await failureOf(client.check({ service: "x" }))).toMatchObject({ code: "notFound" });
    for await (const { status } of client.watch({ service: "x" })) {
      expect(status).toBe(3);
      break;
    }
  });
});

describe("socket", () => {
  test("is 0660, replaces a stale file, and leaves one that answers alone", async () => {
    await using at = await serve([]);
    expect(statSync(at.path).mode & 0o777).toBe(0o660);
    await expect(placeSocket(at.path, self, async () => {})).rejects.toThrow(`another process is serving "${at.path}"`);
    const stale = join(directory, "stale.sock");
    writeFileSync(stale, "");
    await using stack = new AsyncDisposableStack();
    stack.use(
      await placeSocket(stale, self, async (path) => {
        stack.use(await acceptAt(path, (socket) => socket.destroy()));
      }),
    );
    expect(statSync(stale).isSocket()).toBe(true);
  });

  test("a path that doesn't fit is refused", async () => {
    await expect(placeSocket(`/tmp/${"x".repeat(110)}`, self, async () => {})).rejects.toThrow(
      "is longer than 103 bytes",
    );
  });
});
