import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ContentDefinition } from "@hull/api/gen/containerd/services/content/v1/content";
import { StreamingDefinition } from "@hull/api/gen/containerd/services/streaming/v1/streaming";
import { TaskDefinition } from "@hull/api/gen/containerd/task/v2/task";
import type { CallContext } from "@hull/api/rpc";
import { notFound } from "@hull/errors";
import type { LinkFactory } from "@hull/link";
import * as bunLinks from "@hull/link/bun";
import * as nodeLinks from "@hull/link/node";
import { connectTtrpc, TtrpcConnection, ttrpcClient } from "./client.ts";
import { encodeFrame, FrameDecoder, maximumPayload } from "./frame.ts";
import { TtrpcServer } from "./server.ts";

let directory: string;
let sockets = 0;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "hull-ttrpc-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const newPath = (): string => join(directory, `${sockets++}.sock`);

const untilAborted = (call: CallContext) =>
  new Promise<never>((_, reject) => call.signal.addEventListener("abort", () => reject(call.signal.reason)));

const links: [string, LinkFactory][] = [
  ["Bun's sockets", bunLinks],
  ["Node's sockets", nodeLinks],
];

describe.each(links)("ttrpc over %s", (_name, factory) => {
  /** A server of a task and a content service with handlers that tests look into, and a connection to it. */
  async function start() {
    const path = newPath();
    const aborted: unknown[] = [];
    const server = new TtrpcServer();
    server.register(TaskDefinition, {
      async connect(request, call) {
        return { version: `${request.id} ${call.metadata("containerd-namespace-ttrpc")}`, taskPid: 4294967295 };
      },
      async state({ id }) {
        throw notFound(`process "${id}"`);
      },
      async wait(_request, call) {
        call.signal.addEventListener("abort", () => aborted.push(call.signal.reason));
        return await untilAborted(call);
      },
      async stats() {
        return { stats: { typeUrl: "t", value: new Uint8Array(maximumPayload) } };
      },
    });
    server.register(ContentDefinition, {
      async *read({ size }) {
        for (let offset = 0n; offset < (size ?? 0n); offset++) yield { offset, data: new Uint8Array(100_000) };
      },
      async *list() {
        yield {};
        throw notFound("the rest");
      },
    });
    server.register(StreamingDefinition, {
      async *stream(messages) {
        for await (const { typeUrl, value } of messages) yield { typeUrl: `${typeUrl}!`, value };
      },
    });
    const listener = await factory.listen({ path }, (link) => server.accept(link));
    const connection = new TtrpcConnection(await factory.connect({ path }));
    const task = ttrpcClient(TaskDefinition, connection, { metadata: { "containerd-namespace-ttrpc": "n" } });
    const content = ttrpcClient(ContentDefinition, connection);
    const streaming = ttrpcClient(StreamingDefinition, connection);
    return {
      path,
      aborted,
      server,
      connection,
      task,
      content,
      streaming,
      async [Symbol.asyncDispose]() {
        await connection.close();
        await server.close();
        listener.stop();
      },
    };
  }

  test("carries calls side by side, with metadata, up to the longest message", async () => {
    await using on = await start();
    const ids = Array.from({ length: 100 }, (_, i) => `${i}`);
    const answers = await Promise.all(ids.map((id) => on.task.connect({ id })));
    expect(answers.map(({ version }) => version)).toEqual(ids.map((id) => `${id} n`));
    expect(answers[0]?.taskPid).toBe(4294967295);
    const id = "x".repeat(2_000_000);
    expect((await on.task.connect({ id })).version).toBe(`${id} n`);
  });

  test("carries errors with their code", async () => {
    await using on = await start();
    await expect(on.task.state({ id: "a" })).rejects.toMatchObject({ code: "notFound", message: 'process "a"' });
    await expect(on.task.pause({ id: "a" })).rejects.toMatchObject({ code: "unimplemented" });
    await expect(on.content.info({})).rejects.toMatchObject({ code: "unimplemented" });
    await expect(on.task.stats({})).rejects.toMatchObject({ code: "resourceExhausted" });
    await expect(on.task.connect({ id: "x".repeat(maximumPayload) })).rejects.toMatchObject({
      code: "resourceExhausted",
    });
    await expect(on.task.connect({ id: "still" })).resolves.toMatchObject({ version: "still n" });
  });

  test("ends a call by its deadline on both sides, by its signal on the caller's", async () => {
    await using on = await start();
    await expect(on.task.wait({}, { timeoutMs: 20 })).rejects.toMatchObject({ code: "deadlineExceeded" });
    await on.task.connect({});
    while (on.aborted.length === 0) await on.task.connect({});
    expect(on.aborted[0]).toMatchObject({ code: "deadlineExceeded" });
    const controller = new AbortController();
    const waiting = on.task.wait({}, { signal: controller.signal });
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: "canceled" });
  });

  test("streams answers with back pressure, and an error after them", async () => {
    await using on = await start();
    let count = 0n;
    let bytes = 0;
    for await (const { offset, data } of on.content.read({ size: 300n })) {
      expect(offset).toBe(count++);
      bytes += data.length;
    }
    expect([count, bytes]).toEqual([300n, 30_000_000]);
    let listed = 0;
    const listing = (async () => {
      for await (const _ of on.content.list({})) listed++;
    })();
    await expect(listing).rejects.toMatchObject({ code: "notFound", message: "the rest" });
    expect(listed).toBe(1);
  });

  test("streams both ways", async () => {
    await using on = await start();
    async function* requests() {
      for (const typeUrl of ["a", "", "c"]) yield { typeUrl, value: new Uint8Array(0) };
    }
    const answers: string[] = [];
    for await (const { typeUrl } of on.streaming.stream(requests())) answers.push(typeUrl);
    expect(answers).toEqual(["a!", "!", "c!"]);
  });

  test("stops asking for requests when the answers are left", async () => {
    await using on = await start();
    let left = false;
    async function* requests() {
      try {
        for (;;) yield { typeUrl: "a", value: new Uint8Array(0) };
      } finally {
        left = true;
      }
    }
    for await (const _ of on.streaming.stream(requests())) break;
    await on.task.connect({});
    expect(left).toBe(true);
  });

  test("fails what waits, and all that follows, when the connection closes", async () => {
    await using on = await start();
    const waiting = on.task.wait({});
    await on.task.connect({});
    const failed = waiting.catch((thrown: unknown) => thrown);
    await on.connection.close();
    expect(await failed).toMatchObject({ code: "unavailable", message: "ttrpc: closed" });
    await expect(on.task.connect({})).rejects.toMatchObject({ code: "unavailable", message: "ttrpc: closed" });
    while (on.aborted.length === 0) await new Promise(setImmediate);
    expect(on.aborted[0]).toMatchObject({ code: "canceled" });
  });

  test("lets running calls finish at a shutdown", async () => {
    await using on = await start();
    const waiting = expect(on.task.wait({}, { timeoutMs: 300 })).rejects.toMatchObject({ code: "deadlineExceeded" });
    await on.task.connect({});
    const stopped = on.server.shutdown();
    await waiting;
    await stopped;
    await on.connection.closed;
  });

  test("answers InvalidArgument to stream ids that are even or not above the last", async () => {
    await using on = await start();
    const link = await factory.connect({ path: on.path });
    const statuses: number[] = [];
    const decoder = new FrameDecoder();
    const three = Promise.withResolvers<void>();
    link.start({
      data: (chunk) =>
        decoder.push(chunk, (frame) => {
          // Response { 1: Status { 1: code } }
          statuses.push(frame.payload[3] ?? 0);
          if (statuses.length === 3) three.resolve();
        }),
      closed: () => three.resolve(),
    });
    for (const id of [2, 3, 3]) link.write(encodeFrame(id, 1, 0, new Uint8Array(0)));
    await three.promise;
    expect(statuses).toEqual([3, 12, 3]);
    link.close();
  });
});

test("says which socket can't be connected to", async () => {
  const path = newPath();
  await expect(connectTtrpc(path)).rejects.toMatchObject({ code: "unavailable" });
  await expect(connectTtrpc(path)).rejects.toThrow(path);
});

test("a server listens by itself and asks who may come", async () => {
  const path = newPath();
  const peers: number[] = [];
  await using server = new TtrpcServer().register(TaskDefinition, { connect: async () => ({ version: "1" }) });
  await server.listen({ path }, { authorize: ({ fd }) => peers.push(fd) > 1 });
  await using refused = await connectTtrpc(`unix://${path}`);
  await refused.closed;
  await using connection = await connectTtrpc(path);
  expect((await ttrpcClient(TaskDefinition, connection).connect({})).version).toBe("1");
  expect(peers.every((fd) => fd > 2)).toBe(true);
});
