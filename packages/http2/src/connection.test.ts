import { describe, expect, test } from "bun:test";
import { connect as connectHttp2, createServer as createHttp2Server } from "node:http2";
import { createServer } from "node:net";
import { overDuplex } from "@hull/link/node";
import fc from "fast-check";
import { errorCodes, frameFlags, frameTypes, preface } from "./codes.ts";
import { Connection, type ConnectionOptions, type ConnectionOwner } from "./connection.ts";
import { type FieldList, fieldOf } from "./fields.ts";
import { FrameReader } from "./frame-reader.ts";
import { HeaderEncoder } from "./hpack/encoder.ts";
import type { Stream, StreamEnd, StreamReceiver } from "./stream.ts";
import { linkPair, type TestLink } from "./testing.ts";

const post = (path: string, ...more: string[]): FieldList => [
  ...[":method", "POST", ":scheme", "http", ":path", path, ":authority", "localhost"],
  ...more,
];
const ok: FieldList = [":status", "200", "content-type", "application/grpc"];
const success: FieldList = ["grpc-status", "0"];

/** Gathers what a stream receives. */
class Recorder implements StreamReceiver {
  fields: FieldList = [];
  final: FieldList = [];
  readonly chunks: Uint8Array[] = [];
  whole = false;
  end: StreamEnd | undefined;
  onEnded = (): void => {};

  get body(): Buffer {
    return Buffer.concat(this.chunks);
  }

  headers(fields: FieldList): void {
    this.fields = fields;
  }

  data(chunk: Uint8Array): void {
    this.chunks.push(chunk);
  }

  trailers(fields: FieldList): void {
    this.final = fields;
  }

  ended(): void {
    this.whole = true;
    this.onEnded();
  }

  closed(end: StreamEnd): void {
    expect(this.end).toBeUndefined();
    this.end = end;
  }
}

/** A server that gives back what it is sent when it has all. */
function echo(requests: FieldList[] = [], recorders: Recorder[] = []): ConnectionOwner {
  return {
    request(stream, fields) {
      requests.push(fields);
      const recorder = new Recorder();
      recorders.push(recorder);
      recorder.onEnded = () => {
        stream.respond(ok);
        stream.write([recorder.body]);
        stream.end(success);
      };
      return recorder;
    },
    closed() {},
  };
}

const nobody: ConnectionOwner = { closed() {} };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Delivers both ways until nothing moves any more. */
async function settle(a: TestLink, b: TestLink, size?: () => number): Promise<void> {
  for (let quiet = 0; quiet < 3; quiet++) {
    await turn();
    while (a.deliver(size?.()) + b.deliver(size?.()) > 0) quiet = 0;
  }
}

function pair(owner: ConnectionOwner, options: { room?: number; server?: ConnectionOptions; client?: object } = {}) {
  const [near, far] = linkPair(options.room);
  const server = new Connection("server", far, owner, options.server);
  const client = new Connection("client", near, nobody, options.client);
  server.start();
  client.start();
  return { near, far, server, client };
}

/** A frame, as another side could send it. */
function frame(type: number, flags: number, streamId: number, payload: ArrayLike<number> = []): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, Uint8Array.from(payload)]);
}

const uint32 = (value: number): number[] => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
const setting = (id: number, value: number): number[] => [0, id, ...uint32(value)];
const both = frameFlags.endHeaders | frameFlags.endStream;

function block(fields: FieldList): Uint8Array {
  const out = new Uint8Array(HeaderEncoder.room(fields));
  return out.subarray(0, new HeaderEncoder().encode(fields, out, 0));
}

interface Frame {
  type: number;
  flags: number;
  streamId: number;
  payload: Buffer;
}

/** The frames in bytes that a server sent. */
function framesOf(bytes: Uint8Array): Frame[] {
  const frames: Frame[] = [];
  const reader = new FrameReader(
    {
      data: (streamId, content, _counted, endStream) =>
        frames.push({ type: 0, flags: endStream ? 1 : 0, streamId, payload: Buffer.from(content) }),
      frame: (type, flags, streamId, all, from, to) =>
        frames.push({ type, flags, streamId, payload: Buffer.from(all.slice(from, to)) }),
    },
    1 << 24,
  );
  reader.push(bytes);
  return frames;
}

/** A server, and the bytes of a client as the test makes them. */
async function raw(owner: ConnectionOwner = echo(), options?: ConnectionOptions) {
  const [near, far] = linkPair();
  near.start({ data() {}, closed() {} });
  const server = new Connection("server", far, owner, options);
  server.start();
  const send = async (...frames: Uint8Array[]): Promise<Frame[]> => {
    const before = far.written.length;
    for (const bytes of frames) near.write(bytes);
    await settle(near, far);
    return framesOf(far.written.subarray(before));
  };
  await send(preface, frame(frameTypes.settings, 0, 0));
  return { near, far, server, send };
}

describe("a connection", () => {
  test("begins with the bytes of RFC 9113, and answers a call in one write", async () => {
    const { near, far, client } = pair(echo());
    const recorder = new Recorder();
    client.request(post("/a"), recorder).write([Buffer.from("> "), Buffer.from("hello")], true);
    await turn();
    const sent = Buffer.from(near.written);
    expect(sent.subarray(0, 24).toString()).toBe("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    const frames = framesOf(sent.subarray(24));
    expect(frames.map(({ type, flags, streamId }) => [type, flags, streamId])).toEqual([
      [frameTypes.settings, 0, 0],
      [frameTypes.windowUpdate, 0, 0],
      [frameTypes.headers, frameFlags.endHeaders, 1],
      [frameTypes.data, frameFlags.endStream, 1],
    ]);
    expect(frames[3]?.payload.toString()).toBe("> hello");
    await settle(near, far);
    expect(recorder).toMatchObject({ whole: true, end: { kind: "done" } });
    expect([recorder.fields, recorder.body.toString(), recorder.final]).toEqual([ok, "> hello", success]);
    const before = far.written.length;
    client.request(post("/a"), new Recorder()).write([Buffer.from("x")], true);
    await turn();
    near.deliver();
    await turn();
    // Golden: status and content type by index, the content, the status by index.
    expect(Buffer.from(far.written.subarray(before)).toString("hex")).toBe(
      ["000002010400000003", "88bf", "000001000000000003", "78", "000001010500000003", "be"].join(""),
    );
  });

  test("carries any bodies, however the bytes are cut and whatever the windows are", async () => {
    // Few bytes in the smallest pieces, or many in larger ones.
    const sceneOf = (most: number, least: number) =>
      fc.record({
        bodies: fc.array(
          fc.nat(most).map((size) => Uint8Array.from({ length: size }, (_, at) => at * 7)),
          { minLength: 1, maxLength: 6 },
        ),
        writes: fc.integer({ min: 1, max: 5 }),
        streamWindow: fc.integer({ min: least, max: 50 * least }),
        room: fc.constantFrom(least, 100 * least, Number.POSITIVE_INFINITY),
        cuts: fc.array(fc.integer({ min: least, max: 20 * least }), { minLength: 1, maxLength: 8 }),
      });
    const scene = fc.oneof(sceneOf(200, 1), sceneOf(200_000, 3000));
    await fc.assert(
      fc.asyncProperty(scene, async ({ bodies, writes, streamWindow, room, cuts }) => {
        const { near, far, client } = pair(echo(), { room, server: { streamWindow }, client: { streamWindow } });
        const recorders = bodies.map((bytes, index) => {
          const recorder = new Recorder();
          const stream = client.request(post(`/${index}`), recorder);
          const step = Math.ceil(bytes.length / writes) || 1;
          for (let at = 0; at < bytes.length; at += step) stream.write([bytes.slice(at, at + step)]);
          stream.end();
          return recorder;
        });
        let cut = 0;
        await settle(near, far, () => cuts[cut++ % cuts.length] ?? 1);
        for (const [index, recorder] of recorders.entries()) {
          expect(recorder.end).toEqual({ kind: "done" });
          expect(recorder.body.equals(Buffer.from(bodies[index] ?? []))).toBe(true);
          expect(recorder.final).toEqual(success);
        }
        expect(client.size).toBe(0);
      }),
      { numRuns: 60 },
    );
  }, 60_000);

  test("takes turns between streams, and leaves room for what is small", async () => {
    const order: number[] = [];
    const { near, far, client } = pair({
      request: (stream) => ({ data: () => void order.push(stream.id), ended() {}, closed() {} }),
      closed() {},
    });
    for (let i = 0; i < 3; i++) client.request(post("/"), new Recorder()).write([new Uint8Array(500_000)], true);
    client.request(post("/"), new Recorder()).write([new Uint8Array(10)], true);
    await settle(near, far);
    const first = (id: number): number => order.indexOf(id);
    expect(first(7)).toBeLessThan(order.lastIndexOf(1));
    expect([first(1), first(3), first(5)].every((at) => at >= 0 && at < 20)).toBe(true);
  });

  test("a stream that is paused gets no more than its window; others go on", async () => {
    const streams: Stream[] = [];
    const recorders: Recorder[] = [];
    const { near, far, client } = pair(
      {
        request(stream) {
          streams.push(stream);
          if (streams.length === 1) stream.pause();
          const recorder = new Recorder();
          recorders.push(recorder);
          return recorder;
        },
        closed() {},
      },
      { server: { streamWindow: 100_000, connectionWindow: 150_000 } },
    );
    const first = client.request(post("/"), new Recorder());
    expect(first.write([new Uint8Array(2_000_000)])).toBe(false);
    client.request(post("/"), new Recorder()).write([new Uint8Array(700_000)], true);
    await settle(near, far);
    expect(recorders.map(({ body }) => body.length)).toEqual([100_000, 700_000]);
    streams[0]?.resume();
    await settle(near, far);
    expect(recorders[0]?.body.length).toBe(2_000_000);
    await first.drained();
  });

  test("follows windows that change amid a transfer, to the byte", async () => {
    const { send } = await raw({
      request(stream) {
        stream.respond(ok);
        stream.write([new Uint8Array(5 << 20)]);
        stream.end(success);
        return new Recorder();
      },
      closed() {},
    });
    const sizes = (frames: Frame[]): Record<number, number> => {
      const sum: Record<number, number> = {};
      for (const { type, streamId, payload } of frames) {
        if (type === frameTypes.data) sum[streamId] = (sum[streamId] ?? 0) + payload.length;
      }
      return sum;
    };
    const update = (id: number, by: number): Buffer => frame(frameTypes.windowUpdate, 0, id, uint32(by));
    const initial = (bytes: number): Buffer => frame(frameTypes.settings, 0, 0, setting(4, bytes));
    const open = (id: number): Buffer => frame(frameTypes.headers, both, id, block(post("/")));
    expect(sizes(await send(update(0, 100 << 20), open(1)))).toEqual({ 1: 65_535 });
    expect(sizes(await send(update(1, 1000), initial(1 << 20)))).toEqual({ 1: (1 << 20) + 1000 - 65_535 });
    // Smaller: what was sent too much is owed.
    expect(sizes(await send(initial(0)))).toEqual({});
    expect(sizes(await send(update(1, 1 << 20)))).toEqual({});
    expect(sizes(await send(update(1, 1000)))).toEqual({ 1: 1000 });
    expect(sizes(await send(open(3), initial(70)))).toEqual({ 1: 70, 3: 70 });
    const rest = await send(update(1, 5 << 20));
    expect(sizes(rest)).toEqual({ 1: (5 << 20) - (1 << 20) - 1000 - 1000 - 70 });
    expect(rest.at(-1)).toMatchObject({ type: frameTypes.headers, flags: both, streamId: 1 });
  });

  test("cuts long header blocks into frames, and puts them together", async () => {
    const requests: FieldList[] = [];
    const { near, far, client } = pair(echo(requests));
    const long = post("/", ...Array.from({ length: 30 }, (_, i) => [`n${i}`, "x".repeat(1500)]).flat());
    client.request(long, new Recorder()).end();
    await settle(near, far);
    expect(requests).toEqual([long]);
    expect(framesOf(near.written.subarray(24)).filter(({ type }) => type === frameTypes.continuation)).toHaveLength(2);
  });

  test("a client waits where the server has no room for more streams", async () => {
    const recorders: Recorder[] = [];
    const { near, far, client } = pair(echo([], recorders), { server: { maxStreams: 2 } });
    await settle(near, far);
    const mine = Array.from({ length: 9 }, (_, i) => {
      const recorder = new Recorder();
      const stream = client.request(post(`/${i}`), recorder);
      stream.write([Buffer.from(`${i}`)], true);
      if (i === 5) stream.reset();
      return recorder;
    });
    await settle(near, far);
    expect(mine.map(({ body, end }) => `${body}${end?.kind ?? ""}`)).toEqual(
      [0, 1, 2, 3, 4, 5, 6, 7, 8].map((i) => (i === 5 ? "" : `${i}done`)),
    );
    expect(recorders).toHaveLength(8);
  });

  test("a reset ends a stream on both sides, and what is under way is passed over", async () => {
    const recorders: Recorder[] = [];
    const { near, far, client } = pair(echo([], recorders));
    const recorder = new Recorder();
    const stream = client.request(post("/"), recorder);
    stream.write([Buffer.from("a")]);
    await settle(near, far);
    stream.reset();
    stream.write([Buffer.from("b")]);
    await settle(near, far);
    expect(recorders[0]?.end).toEqual({ kind: "reset", code: errorCodes.cancel });
    expect(recorders[0]?.whole).toBe(false);
    expect([recorder.end, client.size]).toEqual([undefined, 0]);
  });

  test("a server that has answered takes no more of the request", async () => {
    const { near, far, client, server } = pair({
      request(stream) {
        stream.respond([":status", "200", "grpc-status", "5"], true);
        return new Recorder();
      },
      closed() {},
    });
    const recorder = new Recorder();
    const stream = client.request(post("/"), recorder);
    stream.write([new Uint8Array(3_000_000)]);
    await settle(near, far);
    expect(recorder).toMatchObject({ whole: true, end: { kind: "reset", code: errorCodes.noError } });
    expect([client.size, server.size]).toEqual([0, 0]);
  });

  test("shuts down when what runs has ended, and says which requests it never looked at", async () => {
    const recorders: Recorder[] = [];
    const { near, far, client, server } = pair(echo([], recorders));
    const running = new Recorder();
    const stream = client.request(post("/"), running);
    stream.write([Buffer.from("a")]);
    await settle(near, far);
    server.shutdown();
    const late = new Recorder();
    client.request(post("/late"), late);
    await settle(near, far);
    expect(late.end).toEqual({ kind: "refused" });
    expect(client.isOpen).toBe(false);
    const later = new Recorder();
    client.request(post("/later"), later);
    await turn();
    expect(later.end).toEqual({ kind: "refused" });
    stream.write([Buffer.from("b")], true);
    await settle(near, far);
    expect(running).toMatchObject({ whole: true, end: { kind: "done" } });
    expect(running.body.toString()).toBe("ab");
    expect([near.closed, far.closed]).toEqual([true, true]);
  });

  test("that is lost ends its streams", async () => {
    const recorders: Recorder[] = [];
    const { near, far, client } = pair(echo([], recorders));
    const recorder = new Recorder();
    client.request(post("/"), recorder).write([Buffer.from("a")]);
    await settle(near, far);
    near.destroy();
    expect([recorder.end?.kind, recorders[0]?.end?.kind]).toEqual(["lost", "lost"]);
  });

  test("a peer that asks without reading is not read from", async () => {
    const [near, far] = linkPair(1000);
    near.start({ data() {}, closed() {} });
    new Connection("server", far, echo()).start();
    near.write(Buffer.concat([preface, frame(frameTypes.settings, 0, 0)]));
    near.deliver();
    const ping = Buffer.concat(
      Array.from({ length: 1000 }, () => frame(frameTypes.ping, 0, 0, uint32(1).concat(uint32(2)))),
    );
    let taken = 0;
    for (let i = 0; i < 100; i++) {
      near.write(ping);
      taken += near.deliver();
      await turn();
    }
    expect(taken).toBeLessThan(600_000);
    await settle(near, far);
    expect(framesOf(far.written).filter(({ type }) => type === frameTypes.ping)).toHaveLength(100_000);
  });
});

describe("what a client does wrong", () => {
  const { settings, headers, data, ping, goaway, windowUpdate, rstStream, continuation, pushPromise, priority } =
    frameTypes;
  const open = (id: number, flags: number = frameFlags.endHeaders): Buffer =>
    frame(headers, flags, id, block(post("/")));

  const fatal: [name: string, code: number, Uint8Array[]][] = [
    ["a frame that is too long", errorCodes.frameSizeError, [frame(data, 0, 1, new Uint8Array((1 << 20) + 1))]],
    ["SETTINGS of a stream", errorCodes.protocolError, [frame(settings, 0, 1)]],
    ["SETTINGS of half a setting", errorCodes.frameSizeError, [frame(settings, 0, 0, [0, 1, 0])]],
    ["an acknowledgement with settings", errorCodes.frameSizeError, [frame(settings, 1, 0, setting(1, 1))]],
    ["a window beyond all", errorCodes.flowControlError, [frame(settings, 0, 0, setting(4, 2 ** 31))]],
    ["frames too small", errorCodes.protocolError, [frame(settings, 0, 0, setting(5, 16_383))]],
    ["ENABLE_PUSH of 2", errorCodes.protocolError, [frame(settings, 0, 0, setting(2, 2))]],
    ["PING of 7 bytes", errorCodes.frameSizeError, [frame(ping, 0, 0, new Uint8Array(7))]],
    ["PING of a stream", errorCodes.protocolError, [frame(ping, 0, 1, new Uint8Array(8))]],
    ["GOAWAY of a stream", errorCodes.protocolError, [frame(goaway, 0, 1, new Uint8Array(8))]],
    ["GOAWAY of 7 bytes", errorCodes.frameSizeError, [frame(goaway, 0, 0, new Uint8Array(7))]],
    ["WINDOW_UPDATE of 3 bytes", errorCodes.frameSizeError, [frame(windowUpdate, 0, 0, [0, 0, 1])]],
    ["WINDOW_UPDATE by nothing", errorCodes.protocolError, [frame(windowUpdate, 0, 0, uint32(0))]],
    ["WINDOW_UPDATE beyond all", errorCodes.flowControlError, [frame(windowUpdate, 0, 0, uint32(2 ** 31 - 1))]],
    ["WINDOW_UPDATE of no open stream", errorCodes.protocolError, [frame(windowUpdate, 0, 1, uint32(1))]],
    ["RST_STREAM of no stream", errorCodes.protocolError, [frame(rstStream, 0, 0, uint32(1))]],
    ["RST_STREAM of no open stream", errorCodes.protocolError, [frame(rstStream, 0, 1, uint32(1))]],
    ["RST_STREAM of 3 bytes", errorCodes.frameSizeError, [open(1), frame(rstStream, 0, 1, [0, 0, 0])]],
    ["DATA of no stream", errorCodes.protocolError, [frame(data, 0, 0)]],
    ["DATA of no open stream", errorCodes.protocolError, [frame(data, 0, 1)]],
    ["DATA padded beyond its end", errorCodes.protocolError, [open(1), frame(data, 8, 1, [1])]],
    ["HEADERS padded beyond its end", errorCodes.protocolError, [frame(headers, 12, 1, [2, 0x82])]],
    ["HEADERS of no stream", errorCodes.protocolError, [frame(headers, 5, 0, block(post("/")))]],
    ["HEADERS of a server's stream", errorCodes.protocolError, [open(2)]],
    ["HEADERS that can't be decoded", errorCodes.compressionError, [frame(headers, 5, 1, [0xff])]],
    ["CONTINUATION of nothing", errorCodes.protocolError, [frame(continuation, 4, 1)]],
    ["CONTINUATION of another stream", errorCodes.protocolError, [open(1, 0), frame(continuation, 4, 3)]],
    ["something between HEADERS and CONTINUATION", errorCodes.protocolError, [open(1, 0), frame(data, 0, 1)]],
    ["a flood of CONTINUATION", errorCodes.enhanceYourCalm, [open(1, 0), ...Array(50).fill(frame(continuation, 0, 1))]],
    ["a header block without end", errorCodes.enhanceYourCalm, [frame(headers, 5, 1, new Uint8Array(200_000))]],
    ["PUSH_PROMISE", errorCodes.protocolError, [frame(pushPromise, 4, 1, uint32(2))]],
  ];
  test.each(fatal)("%s ends the connection", async (_name, code, frames) => {
    const { send, far } = await raw();
    const last = (await send(...frames)).at(-1);
    expect(last).toMatchObject({ type: goaway, streamId: 0 });
    expect(last?.payload.readUInt32BE(4)).toBe(code);
    expect(far.closed).toBe(true);
  });

  const field = (name: string, value: string): number[] => [
    0,
    name.length,
    ...Buffer.from(name),
    value.length,
    ...Buffer.from(value),
  ];
  const request = (...fields: [string, string][]): Buffer =>
    frame(
      headers,
      both,
      1,
      fields.flatMap(([name, value]) => field(name, value)),
    );
  const whole: [string, string][] = [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", "/"],
  ];
  const harmless: [name: string, code: number, Uint8Array[]][] = [
    [
      "DATA after the end",
      errorCodes.streamClosed,
      [open(1, frameFlags.endHeaders), frame(data, 1, 1), frame(data, 0, 1)],
    ],
    ["HEADERS after the end", errorCodes.streamClosed, [open(1, both), open(1, both)]],
    ["headers amid the content", errorCodes.protocolError, [open(1), frame(headers, 4, 1, field("a", "b"))]],
    ["trailers with a pseudo-header field", errorCodes.protocolError, [open(1), frame(headers, 5, 1, [0x82])]],
    [
      "more content than the window",
      errorCodes.flowControlError,
      [open(1), ...Array(2).fill(frame(data, 0, 1, new Uint8Array(60_000)))],
    ],
    ["WINDOW_UPDATE of a stream by nothing", errorCodes.protocolError, [open(1), frame(windowUpdate, 0, 1, uint32(0))]],
    [
      "WINDOW_UPDATE of a stream beyond all",
      errorCodes.flowControlError,
      [open(1), frame(windowUpdate, 0, 1, uint32(2 ** 31 - 1))],
    ],
    ["PRIORITY of 4 bytes", errorCodes.frameSizeError, [open(1), frame(priority, 0, 1, uint32(1))]],
    ["a field in upper case", errorCodes.protocolError, [request(...whole, ["A", "b"])]],
    ["a pseudo-header field that no request has", errorCodes.protocolError, [request(...whole, [":status", "200"])]],
    ["a pseudo-header field behind others", errorCodes.protocolError, [request(["a", "b"], ...whole)]],
    ["a pseudo-header field twice", errorCodes.protocolError, [request(...whole, [":path", "/"])]],
    ["no path", errorCodes.protocolError, [request([":method", "POST"], [":scheme", "http"])]],
    ["an empty path", errorCodes.protocolError, [request([":method", "POST"], [":scheme", "http"], [":path", ""])]],
    ["connection", errorCodes.protocolError, [request(...whole, ["connection", "close"])]],
    ["te but trailers", errorCodes.protocolError, [request(...whole, ["te", "gzip"])]],
    [
      "too many fields",
      errorCodes.enhanceYourCalm,
      [request(...whole, ...Array<[string, string]>(2000).fill(["a", ""]))],
    ],
  ];
  test.each(harmless)("%s ends the stream, and no other", async (_name, code, frames) => {
    // Whoever answers at once would have closed the stream already.
    // What isn't taken leaves the window as it is.
    const request: ConnectionOwner["request"] = (stream) => {
      stream.pause();
      return new Recorder();
    };
    const { send, far } = await raw({ request, closed() {} }, { streamWindow: 100_000 });
    const resets = (await send(...frames)).filter(({ type }) => type === rstStream);
    expect(resets.map(({ streamId, payload }) => [streamId, payload.readUInt32BE(0)])).toEqual([[1, code]]);
    expect(far.closed).toBe(false);
    expect((await send(frame(ping, 0, 0, new Uint8Array(8)))).map(({ type, flags }) => [type, flags])).toEqual([
      [ping, 1],
    ]);
  });

  test("what may come at any time is passed over", async () => {
    const requests: FieldList[] = [];
    const { send } = await raw(echo(requests));
    const frames = await send(
      frame(0xee, 0xff, 77, [1, 2, 3]),
      frame(priority, 0, 99, new Uint8Array(5)),
      frame(settings, 0, 0, setting(0x99, 1)),
      frame(settings, 1, 0),
      frame(ping, 1, 0, new Uint8Array(8)),
      // Padded, with a priority.
      frame(headers, 4 | 8 | 32, 1, [3, 0, 0, 0, 0, 16, ...block(post("/")), 0, 0, 0]),
      frame(data, 8, 1, [4, 0x68, 0x69, 0, 0, 0, 0]),
      frame(headers, 5, 1, field("a", "b")),
    );
    expect(requests).toEqual([post("/")]);
    const answer = frames.filter(({ streamId }) => streamId === 1);
    expect(answer.map(({ type }) => type)).toEqual([headers, data, headers]);
    expect(answer[1]?.payload.toString()).toBe("hi");
  });

  test("noise, and frames out of their order, end in a GOAWAY at worst", async () => {
    const noise = fc.uint8Array({ maxLength: 60 });
    const anyFrame = fc
      .record({ type: fc.nat(10), flags: fc.nat(63), id: fc.nat(9), payload: noise })
      .map(({ type, flags, id, payload }) => frame(type, flags, id, payload));
    const good = fc.nat(9).map((id) => open(id, both));
    const content = fc.nat(9).map((id) => frame(data, 0, id, [1, 2, 3]));
    const bytes = fc.array(fc.oneof(anyFrame, good, content, noise), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(bytes, fc.integer({ min: 1, max: 50 }), async (pieces, cut) => {
        const [near, far] = linkPair();
        near.start({ data() {}, closed() {} });
        const recorders: Recorder[] = [];
        const closed = Promise.withResolvers<void>();
        new Connection("server", far, { ...echo([], recorders), closed: () => closed.resolve() }).start();
        near.write(Buffer.concat([preface, frame(settings, 0, 0), ...pieces]));
        while (near.deliver(cut) > 0);
        await turn();
        far.deliver();
        near.destroy();
        await closed.promise;
        for (const { end } of recorders) expect(end).toBeDefined();
        for (const { type, streamId } of framesOf(far.written)) expect(streamId === 0 || type !== goaway).toBe(true);
      }),
      { numRuns: 1000 },
    );
  }, 60_000);

  test("what isn't HTTP/2 at all is closed", async () => {
    for (const bytes of ["GET / HTTP/1.1\r\n\r\n", "\0\0\0\0\0\0\0\0\0"]) {
      const [near, far] = linkPair();
      near.start({ data() {}, closed() {} });
      new Connection("server", far, echo()).start();
      near.write(Buffer.from(bytes));
      near.deliver();
      await settle(near, far);
      expect(far.closed).toBe(true);
    }
    const { send, far } = await raw();
    await send(preface);
    expect(far.closed).toBe(true);
  });
});

describe("beside node:http2", () => {
  test("a client of its speaks with a server of ours", async () => {
    const listener = createServer((socket) => new Connection("server", overDuplex(socket), echo()).start());
    await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
    const address = listener.address();
    const session = connectHttp2(`http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`);
    const sizes = [0, 1, 1000, 70_000, 900_000];
    const bodies = await Promise.all(
      sizes.map(async (size) => {
        const stream = session.request({ ":method": "POST", ":path": "/", "x-test": "v" });
        stream.end(Buffer.alloc(size, "y"));
        const chunks: Buffer[] = [];
        let status = "";
        stream.on("trailers", (trailers) => {
          status = String(trailers["grpc-status"]);
        });
        stream.on("data", (chunk) => chunks.push(chunk));
        await new Promise((resolve) => stream.once("close", resolve));
        return [Buffer.concat(chunks).length, status];
      }),
    );
    expect(bodies).toEqual(sizes.map((size) => [size, "0"]));
    session.close();
    listener.close();
  });

  test("a client of ours speaks with a server of its", async () => {
    const server = createHttp2Server();
    server.on("stream", (stream, headers) => {
      stream.respond({ ":status": 200, echo: headers["x-test"] }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.pipe(stream);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const { connect } = await import("node:net");
    const socket = connect(typeof address === "object" ? (address?.port ?? 0) : 0, "127.0.0.1");
    const client = new Connection("client", overDuplex(socket), nobody);
    client.start();
    const sizes = [0, 1, 1000, 60_000];
    const answers = await Promise.all(
      sizes.map(async (size) => {
        const recorder = new Recorder();
        const over = Promise.withResolvers<void>();
        recorder.onEnded = over.resolve;
        client.request(post("/", "x-test", `${size}`), recorder).write([Buffer.alloc(size, "y")], true);
        await over.promise;
        return [fieldOf(recorder.fields, "echo"), recorder.body.length, recorder.final];
      }),
    );
    expect(answers).toEqual(sizes.map((size) => [`${size}`, size, ["grpc-status", "0"]]));
    client.destroy();
    server.close();
  });
});
