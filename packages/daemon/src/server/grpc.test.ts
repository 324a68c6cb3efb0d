import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ContentDefinition } from "@hull/api/gen/containerd/services/content/v1/content";
import { EventsDefinition } from "@hull/api/gen/containerd/services/events/v1/events";
import { VersionDefinition } from "@hull/api/gen/containerd/services/version/v1/version";
import { HealthDefinition } from "@hull/api/gen/grpc/health/v1/health";
import type { ServiceImplementation } from "@hull/api/rpc";
import { HullError, notFound } from "@hull/errors";
import { healthService } from "../services/health.ts";
import { versionService } from "../services/version.ts";
import { service } from "./service.ts";
import { failureOf, self, serve } from "./test-server.ts";
import { acceptAt, placeSocket } from "./unix-socket.ts";

const directory = mkdtempSync(join(tmpdir(), "hull-grpc-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
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
  }, 120_000);

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
    await at.server.close(50_000);
    expect(await next).toMatchObject({ code: "unavailable" });
    expect(performance.now() - began).toBeLessThan(40_000);
  });

  test("answers fifty calls at once, each its own", async () => {
    const content: ServiceImplementation<typeof ContentDefinition> = {
      async *write(requests) {
        for await (const { ref, data } of requests) yield { digest: ref, offset: BigInt(data.length) };
      },
    };
    await using at = await serve([service(ContentDefinition, content)]);
    const client = at.connection.client(ContentDefinition);
    const all = Array.from({ length: 50 }, async (_, id) => {
      async function* requests() {
        for (let i = 1; i <= 5; i++) yield { ref: `${id}`, data: new Uint8Array(id * 1000 + i) };
      }
      const answers = [];
      for await (const { digest, offset } of client.write(requests())) answers.push(`${digest} ${offset}`);
      expect(answers).toEqual([1, 2, 3, 4, 5].map((i) => `${id} ${id * 1000 + i}`));
    });
    await Promise.all(all);
  });

  test("carries 200 MiB both ways", async () => {
    const content: ServiceImplementation<typeof ContentDefinition> = {
      async *write(requests) {
        for await (const { data } of requests) yield { digest: "x".repeat(data.length) };
      },
    };
    await using at = await serve([service(ContentDefinition, content)]);
    async function* requests() {
      for (let i = 0; i < 50; i++) yield { data: new Uint8Array(4 << 20) };
    }
    let total = 0;
    for await (const { digest } of at.connection.client(ContentDefinition).write(requests())) total += digest.length;
    expect(total).toBe(200 << 20);
  }, 120_000);

  test("refuses to send more than 16 MiB, in the words that clients know", async () => {
    const content: Partial<ServiceImplementation<typeof ContentDefinition>> = {
      info: async () => ({ info: { digest: "x".repeat(17 << 20) } }),
      async *read() {
        yield { data: new Uint8Array(1) };
        yield { data: new Uint8Array(17 << 20) };
      },
    };
    await using at = await serve([service(ContentDefinition, content)]);
    const client = at.connection.client(ContentDefinition);
    const message = expect.stringMatching(/^grpc: trying to send message larger than max \(\d+ vs. 16777216\)$/);
    expect(await failureOf(client.info({}))).toMatchObject({ code: "resourceExhausted", message });
    const answers = client.read({})[Symbol.asyncIterator]();
    expect((await answers.next()).value?.data).toHaveLength(1);
    expect(await failureOf(answers.next())).toMatchObject({ code: "resourceExhausted", message });
  });

  test("ends a call at its deadline, and tells the handler", async () => {
    const { promise: reason, resolve } = Promise.withResolvers<unknown>();
    const content: Partial<ServiceImplementation<typeof ContentDefinition>> = {
      info: (_, { signal }) =>
        new Promise((_resolve, reject) =>
          signal.addEventListener("abort", () => {
            resolve(signal.reason);
            reject(signal.reason);
          }),
        ),
    };
    await using at = await serve([service(ContentDefinition, content)]);
    const failed = failureOf(at.connection.client(ContentDefinition).info({}, { timeoutMs: 30 }));
    expect(await failed).toMatchObject({ code: "deadlineExceeded" });
    expect(["canceled", "deadlineExceeded"]).toContain(HullError.from(await reason).code);
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
        stack.use(await acceptAt({ path }, (link) => link.destroy()));
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
