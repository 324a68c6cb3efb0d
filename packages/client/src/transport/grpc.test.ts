import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { ContentDefinition } from "@hull/api/gen/containerd/services/content/v1/content";
import { StreamingDefinition } from "@hull/api/gen/containerd/services/streaming/v1/streaming";
import { connectGrpc, type GrpcConnection } from "./grpc.ts";

const content = ContentDefinition.methods;
const streaming = StreamingDefinition.methods;

/** grpc-js's form of a method, with messages as ours. */
function methodOf(path: string, method: (typeof content)[keyof typeof content] | typeof streaming.stream) {
  return {
    path,
    requestStream: method.requestStream,
    responseStream: method.responseStream,
    requestDeserialize: (bytes: Buffer) => method.requestType.decode(bytes),
    requestSerialize: () => Buffer.alloc(0),
    responseSerialize: (message: object) =>
      Buffer.from(method.responseType.encode(method.responseType.fromPartial(message) as never).finish()),
    responseDeserialize: (bytes: Buffer) => method.responseType.decode(bytes),
  };
}

/** What a promise rejects with. Bun's `rejects` turns the event loop inside the caller, which HTTP/2's callbacks don't survive. */
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );

describe("a gRPC call", () => {
  let directory: string;
  let address: string;
  let server: grpc.Server;
  let connection: GrpcConnection;
  const seen = { deadline: false, metadata: "", canceled: Promise.withResolvers<void>(), ended: false };

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "hull-grpc-"));
    address = `unix://${directory}/grpc.sock`;
    server = new grpc.Server({
      "grpc.max_receive_message_length": 32 * 1024 * 1024,
      "grpc.max_send_message_length": -1,
    });
    server.addService(
      {
        info: methodOf("/containerd.services.content.v1.Content/Info", content.info),
        status: methodOf("/containerd.services.content.v1.Content/Status", content.status),
        read: methodOf("/containerd.services.content.v1.Content/Read", content.read),
        list: methodOf("/containerd.services.content.v1.Content/List", content.list),
        write: methodOf("/containerd.services.content.v1.Content/Write", content.write),
        stream: methodOf("/containerd.services.streaming.v1.Streaming/Stream", streaming.stream),
      },
      {
        info(call: grpc.ServerUnaryCall<{ digest: string }, object>, reply: grpc.sendUnaryData<object>) {
          seen.metadata = String(call.metadata.get("containerd-namespace")[0]);
          const { digest } = call.request;
          if (digest === "missing") {
            reply({ code: 5, details: 'content "d\u00e9j\u00e0 100%": not found' });
          } else if (digest === "never") {
            seen.deadline = call.getDeadline() !== Number.POSITIVE_INFINITY;
            call.on("cancelled", () => seen.canceled.resolve());
          } else {
            reply(null, { info: { digest, size: 5n } });
          }
        },
        status(_call: unknown, reply: grpc.sendUnaryData<object>) {
          reply(null, { status: { ref: "x".repeat(17 * 1024 * 1024) } });
        },
        async read(call: grpc.ServerWritableStream<{ size: bigint }, object>) {
          call.on("cancelled", () => seen.canceled.resolve());
          for (let offset = 0n; offset < call.request.size && !call.cancelled; offset++) {
            const more = call.write({ offset, data: new Uint8Array(100_000) });
            if (!more) await new Promise((resolve) => call.once("drain", resolve));
          }
          call.end();
        },
        list(call: grpc.ServerWritableStream<object, object>) {
          call.write({ info: [{ digest: "a" }] });
          call.emit("error", { code: 9, details: "the rest is gone: failed precondition" });
        },
        write(call: grpc.ServerDuplexStream<{ data: Uint8Array }, object>) {
          let total = 0n;
          call.on("data", ({ data }) => {
            total += BigInt(data.length);
          });
          call.on("end", () => {
            call.write({ total });
            call.end();
          });
        },
        stream(call: grpc.ServerDuplexStream<{ typeUrl: string }, object>) {
          call.on("data", ({ typeUrl }) => {
            if (typeUrl === "stop") call.end();
            else call.write({ typeUrl: `${typeUrl}!` });
          });
          call.on("end", () => call.end());
        },
      },
    );
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error) =>
        error ? reject(error) : resolve(),
      );
    });
    connection = await connectGrpc(address);
  });

  afterAll(async () => {
    await connection?.close();
    server?.forceShutdown();
    rmSync(directory, { recursive: true, force: true });
  });

  const client = () => connection.client(ContentDefinition, { metadata: { "containerd-namespace": "n" } });
  const anys = async function* (...typeUrls: string[]) {
    for (const typeUrl of typeUrls) yield { typeUrl };
  };

  test("carries a message each way, and metadata", async () => {
    expect((await client().info({ digest: "d" })).info).toMatchObject({ digest: "d", size: 5n });
    expect(seen.metadata).toBe("n");
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => client().info({ digest: `${i}` })));
    expect(answers.map(({ info }) => info?.digest)).toEqual(Array.from({ length: 50 }, (_, i) => `${i}`));
  });

  test("rejects with the code and the decoded text", async () => {
    const call = client().info({ digest: "missing" });
    expect(await failure(call)).toMatchObject({ code: "notFound", message: 'content "d\u00e9j\u00e0 100%"' });
    expect(await failure(client().delete({ digest: "d" }))).toMatchObject({ code: "unimplemented" });
  });

  test("streams answers with back pressure", async () => {
    let count = 0n;
    for await (const { offset, data } of client().read({ size: 200n })) {
      expect([offset, data.length]).toEqual([count++, 100_000]);
    }
    expect(count).toBe(200n);
  });

  test("gives what came before an error, then the error", async () => {
    const digests: (string | undefined)[] = [];
    const reading = (async () => {
      for await (const { info } of client().list({})) digests.push(info[0]?.digest);
    })();
    expect(await failure(reading)).toMatchObject({ code: "failedPrecondition", message: "the rest is gone" });
    expect(digests).toEqual(["a"]);
  });

  test("streams both ways, also when the server ends first", async () => {
    const stream = (...typeUrls: string[]) => connection.client(StreamingDefinition).stream(anys(...typeUrls));
    const take = async (answers: AsyncIterable<{ typeUrl: string }>) => {
      const taken: string[] = [];
      for await (const { typeUrl } of answers) taken.push(typeUrl);
      return taken;
    };
    expect(await take(stream("a", "b"))).toEqual(["a!", "b!"]);
    expect(await take(stream("a", "stop", "b"))).toEqual(["a!"]);
  });

  test("sends much with back pressure", async () => {
    async function* requests() {
      for (let i = 0; i < 20; i++) yield { data: new Uint8Array(1_000_000) };
    }
    let total = 0n;
    for await (const answer of client().write(requests())) total = answer.total;
    expect(total).toBe(20_000_000n);
  });

  test("ends by its signal and its deadline, at the server too", async () => {
    const controller = new AbortController();
    seen.canceled = Promise.withResolvers();
    const call = client().info({ digest: "never" }, { signal: controller.signal });
    const failed = call.catch((thrown: unknown) => thrown);
    await client().info({});
    controller.abort();
    expect(await failed).toMatchObject({ code: "canceled" });
    await seen.canceled.promise;
    expect(seen.deadline).toBe(false);
    expect(await failure(client().info({ digest: "never" }, { timeoutMs: 30 }))).toMatchObject({
      code: "deadlineExceeded",
    });
    expect(seen.deadline).toBe(true);
    expect(await failure(client().info({}, { signal: AbortSignal.abort() }))).toMatchObject({ code: "canceled" });
  });

  test("is canceled at the server when its answers are left", async () => {
    seen.canceled = Promise.withResolvers();
    for await (const _ of client().read({ size: 100_000n })) break;
    await seen.canceled.promise;
  });

  test("refuses messages beyond 16 MiB both ways, and metadata that no header carries", async () => {
    expect(await failure(client().info({ digest: "x".repeat(17 * 1024 * 1024) }))).toMatchObject({
      code: "resourceExhausted",
    });
    expect(await failure(client().status({}))).toMatchObject({ code: "resourceExhausted" });
    expect(await failure(client().info({}, { metadata: { x: "\n" } }))).toMatchObject({ code: "invalidArgument" });
  });
});

describe("a gRPC connection", () => {
  test("that can't be made is Unavailable and names the socket", async () => {
    expect(await failure(connectGrpc("/nonexistent/hull.sock"))).toMatchObject({ code: "unavailable" });
    expect(String(await failure(connectGrpc("/nonexistent/hull.sock")))).toContain("/nonexistent/hull.sock");
    expect(await failure(connectGrpc("relative.sock"))).toMatchObject({ code: "invalidArgument" });
    expect(await failure(connectGrpc("http://x"))).toMatchObject({ code: "invalidArgument" });
  });

  test("that breaks makes its calls Unavailable", async () => {
    const directory = mkdtempSync(join(tmpdir(), "hull-grpc-"));
    const sockets: Socket[] = [];
    // Speaks just enough HTTP/2: an empty SETTINGS frame.
    const server = createServer((socket) => {
      sockets.push(socket);
      socket.on("error", () => {});
      socket.write(Buffer.from("000000040000000000", "hex"));
    });
    await new Promise<void>((resolve) => server.listen(join(directory, "s"), resolve));
    const connection = await connectGrpc(join(directory, "s"));
    const failed = connection
      .client(ContentDefinition)
      .info({})
      .catch((thrown: unknown) => thrown);
    await new Promise(setImmediate);
    for (const socket of sockets) socket.destroy();
    expect(await failed).toMatchObject({ code: "unavailable" });
    await connection.close();
    expect(await failure(connection.client(ContentDefinition).info({}))).toMatchObject({ code: "unavailable" });
    server.close();
    rmSync(directory, { recursive: true, force: true });
  });
});
