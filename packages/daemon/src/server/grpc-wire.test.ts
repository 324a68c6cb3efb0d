import { describe, expect, test } from "bun:test";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from "node:http2";
import { connect as connectSocket } from "node:net";
import { ContentDefinition } from "@hull/api/gen/containerd/services/content/v1/content";

import { MessageDecoder } from "@hull/api/grpc/message";
import { encodeMessageFrame } from "@hull/api/grpc/testing";
import type { ServiceImplementation } from "@hull/api/rpc";
import fc from "fast-check";
import { service } from "./service.ts";
import { serve } from "./test-server.ts";

type Content = ServiceImplementation<typeof ContentDefinition>;
const { info, write } = ContentDefinition.methods;
const infoPath = `/${ContentDefinition.fullName}/Info`;
const writePath = `/${ContentDefinition.fullName}/Write`;

/** A session with the server of `content`, to send it what no client of ours sends. */
async function open(content: Content) {
  const stack = new AsyncDisposableStack();
  const { path } = stack.use(await serve([service(ContentDefinition, content)]));
  const socket = connectSocket({ path });
  const session = connect("http://localhost", { createConnection: () => socket, maxSessionMemory: 64 });
  session.on("error", () => {});
  await new Promise((resolve) => session.once("connect", resolve));
  stack.defer(() => session.destroy());
  return { session, socket, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

const request = (session: ClientHttp2Session, path: string, headers: OutgoingHttpHeaders = {}): ClientHttp2Stream =>
  session.request({ ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers", ...headers });

/** All that a stream is answered. */
async function answerOf(stream: ClientHttp2Stream) {
  const answer: { headers: IncomingHttpHeaders; trailers: IncomingHttpHeaders; messages: Uint8Array[] } = {
    headers: {},
    trailers: {},
    messages: [],
  };
  const decoder = new MessageDecoder();
  stream.on("error", () => {});
  stream.on("response", (headers) => {
    answer.headers = headers;
  });
  stream.on("trailers", (trailers) => {
    answer.trailers = trailers;
  });
  stream.on("data", (chunk: Uint8Array) => decoder.push(chunk, (message) => answer.messages.push(message)));
  await new Promise((resolve) => stream.once("close", resolve));
  return answer;
}

const infoFrame = encodeMessageFrame(info.requestType.encode({ digest: "sha256:1" }).finish());

const echo: Content = {
  info: async ({ digest }) => ({ info: { digest } }),
  async *write(requests) {
    for await (const { ref } of requests) yield { digest: ref };
  },
};

describe("gRPC on the wire", () => {
  test("an answer has headers, a message and trailers; an error without any message is all headers", async () => {
    await using at = await open({
      ...echo,
      async status() {
        throw new Error("d\u00e9j\u00e0 100%");
      },
    });
    const stream = request(at.session, infoPath);
    stream.end(infoFrame);
    const { headers, trailers, messages } = await answerOf(stream);
    expect(headers).toMatchObject({ ":status": 200, "content-type": "application/grpc" });
    expect(messages.map((bytes) => info.responseType.decode(bytes).info?.digest)).toEqual(["sha256:1"]);
    expect(trailers).toMatchObject({ "grpc-status": "0" });
    const failing = request(at.session, `/${ContentDefinition.fullName}/Status`);
    failing.end(encodeMessageFrame(new Uint8Array()));
    const failed = await answerOf(failing);
    expect(failed.headers).toMatchObject({ "grpc-status": "2", "grpc-message": "d%C3%A9j%C3%A0 100%25" });
    expect(failed.trailers).toEqual({});
  });

  test("what is no request of gRPC is refused as grpc-go refuses it", async () => {
    await using at = await open(echo);
    const cases: [path: string, headers: OutgoingHttpHeaders, answer: object][] = [
      [infoPath, { ":method": "GET" }, { ":status": 405, "grpc-status": "13" }],
      [infoPath, { "content-type": "text/plain" }, { ":status": 415, "grpc-status": "13" }],
      [infoPath, { "content-type": "application/grpcx" }, { ":status": 415 }],
      ["/x", {}, { "grpc-status": "12", "grpc-message": 'malformed method name: "/x"' }],
      ["/x.Y/Z", {}, { "grpc-status": "12", "grpc-message": "unknown service x.Y" }],
      [
        infoPath.replace("Info", "Z"),
        {},
        { "grpc-message": `unknown method Z for service ${ContentDefinition.fullName}` },
      ],
      [infoPath, { "grpc-encoding": "gzip" }, { "grpc-status": "12", "grpc-accept-encoding": "identity" }],
      [infoPath, { "grpc-timeout": "soon" }, { ":status": 400, "grpc-message": 'malformed grpc-timeout: "soon"' }],
      [infoPath, { "grpc-timeout": "0n" }, { "grpc-status": "4", "grpc-message": "context deadline exceeded" }],
    ];
    for (const [path, headers, expected] of cases) {
      const { headers: answered } = await answerOf(request(at.session, path, headers));
      expect(answered).toMatchObject(expected);
    }
    for (const type of ["application/grpc+proto", "application/grpc;charset=utf-8"]) {
      const stream = request(at.session, infoPath, { "content-type": type, "grpc-encoding": "identity" });
      stream.end(infoFrame);
      expect((await answerOf(stream)).trailers).toMatchObject({ "grpc-status": "0" });
    }
  });

  test("bodies that are not one message each are refused", async () => {
    await using at = await open(echo);
    const bodies: [Uint8Array, object][] = [
      [new Uint8Array(), { "grpc-status": "13" }],
      [infoFrame.subarray(0, 7), { "grpc-status": "13", "grpc-message": "grpc: the request was cut off" }],
      [Buffer.concat([infoFrame, infoFrame]), { "grpc-status": "13" }],
      [Uint8Array.of(1, 0, 0, 0, 1, 0), { "grpc-status": "13" }],
    ];
    for (const [body, expected] of bodies) {
      const stream = request(at.session, infoPath);
      stream.end(body);
      expect((await answerOf(stream)).headers).toMatchObject(expected);
    }
  });

  test("30 MiB are too much before they have come, and the connection stays", async () => {
    await using at = await open(echo);
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(30 << 20, 1);
    for (const path of [infoPath, writePath]) {
      const stream = request(at.session, path);
      stream.write(prefix);
      stream.write(Buffer.alloc(30 << 20));
      const { headers } = await answerOf(stream);
      expect(headers).toMatchObject({
        "grpc-status": "8",
        "grpc-message": "grpc: received message larger than max (31457280 vs. 16777216)",
      });
    }
    const stream = request(at.session, infoPath);
    stream.end(infoFrame);
    expect((await answerOf(stream)).trailers).toMatchObject({ "grpc-status": "0" });
  });

  test("messages come whole however the body is cut", async () => {
    await using at = await open(echo);
    const refs = fc.array(fc.string({ maxLength: 50 }), { maxLength: 8 });
    const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 });
    const property = fc.asyncProperty(refs, cuts, async (sent, sizes) => {
      const body = Buffer.concat(
        sent.map((ref) =>
          encodeMessageFrame(write.requestType.encode(write.requestType.fromPartial({ ref })).finish()),
        ),
      );
      const stream = request(at.session, writePath);
      const answer = answerOf(stream);
      for (let at = 0, i = 0; at < body.length; i++) {
        const size = sizes[i % sizes.length] ?? 1;
        // Each in a frame of its own.
        await new Promise((resolve) => stream.write(body.subarray(at, at + size), resolve));
        at += size;
      }
      stream.end();
      const { messages, headers, trailers } = await answer;
      expect(messages.map((bytes) => write.responseType.decode(bytes).digest)).toEqual(sent);
      expect({ ...headers, ...trailers }).toMatchObject({ "grpc-status": "0" });
    });
    await fc.assert(property, { numRuns: 50 });
  }, 120_000);

  test("a caller that has said all is answered on", async () => {
    await using at = await open({
      async *write(requests) {
        const refs = [];
        for await (const { ref } of requests) refs.push(ref);
        for (const ref of refs) {
          await new Promise(setImmediate);
          yield { digest: ref };
        }
      },
    });
    const stream = request(at.session, writePath);
    const frame = encodeMessageFrame(write.requestType.encode(write.requestType.fromPartial({ ref: "a" })).finish());
    stream.end(Buffer.concat([frame, frame, frame]));
    expect((await answerOf(stream)).messages).toHaveLength(3);
  });

  test("a handler that is done need not be sent the rest", async () => {
    await using at = await open({
      async *write() {
        yield { digest: "enough" };
      },
    });
    const stream = request(at.session, writePath);
    stream.write(Buffer.alloc(5));
    const { messages, trailers } = await answerOf(stream);
    expect(messages).toHaveLength(1);
    expect(trailers).toMatchObject({ "grpc-status": "0" });
    expect(stream.rstCode).toBe(0);
  });

  test("what nobody takes is not sent, in both directions", async () => {
    let given = 0;
    const { promise: over, resolve: end } = Promise.withResolvers<void>();
    await using at = await open({
      async *read(_, { signal }) {
        for (; !signal.aborted; given++) yield { data: new Uint8Array(1 << 20) };
      },
      async *write(_, { signal }) {
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        end();
        yield {};
      },
    });
    const reading = request(at.session, `/${ContentDefinition.fullName}/Read`);
    reading.on("error", () => {});
    reading.pause();
    reading.end(encodeMessageFrame(new Uint8Array()));
    const writing = request(at.session, writePath);
    writing.on("error", () => {});
    writing.resume();
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(1 << 20, 1);
    const message = Buffer.concat([prefix, Buffer.alloc(1 << 20)]);
    let taken = 0;
    for (let i = 0; i < 30; i++) writing.write(message, () => taken++);
    for (let before = -1; before !== given + taken; await Bun.sleep(300)) before = given + taken;
    expect(given).toBeLessThan(10);
    expect(taken).toBeLessThan(10);
    writing.close(8);
    await over;
  });

  test("what a caller takes back does not look whole", async () => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    await using at = await open({
      async *write(requests) {
        try {
          for await (const { ref } of requests) yield { digest: ref };
          resolve("whole");
        } catch (error) {
          resolve(String(error));
        }
      },
    });
    const stream = request(at.session, writePath);
    stream.on("error", () => {});
    stream.write(Buffer.alloc(5));
    await new Promise((answered) => stream.once("data", answered));
    stream.close(8);
    expect(await promise).toBe("HullError [canceled]: the caller ended the call");
  });

  test("a client that dies ends its calls, and only its own", async () => {
    const ended: string[] = [];
    const { promise: both, resolve } = Promise.withResolvers<void>();
    const content: Content = {
      ...echo,
      async delete(_, { signal }) {
        await new Promise((wake) => signal.addEventListener("abort", wake));
        if (ended.push("delete") === 2) resolve();

        return {};
      },
      async *write(requests) {
        try {
          for await (const { ref } of requests) yield { digest: ref };
        } catch (error) {
          if (ended.push(String(error)) === 2) resolve();

          throw error;
        }
      },
    };
    await using at = await open(content);
    const first = request(at.session, `/${ContentDefinition.fullName}/Delete`);
    first.on("error", () => {});
    first.end(encodeMessageFrame(new Uint8Array()));
    const second = request(at.session, writePath);
    second.on("error", () => {});
    second.write(Buffer.alloc(5));
    const third = request(at.session, infoPath);
    third.end(infoFrame);
    await answerOf(third);
    at.socket.destroy();
    await both;
    expect(ended.sort()).toEqual(["HullError [canceled]: the caller ended the call", "delete"]);
  });
});
