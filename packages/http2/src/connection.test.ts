import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { errorCodes, frameFlags, frameTypes, preface } from "./codes.ts";
import { Connection } from "./connection.ts";
import type { FieldList } from "./fields.ts";
import type { Stream } from "./stream.ts";
import {
  block,
  both,
  echo,
  type Frame,
  frame,
  framesOf,
  ok,
  pair,
  post,
  Recorder,
  raw,
  setting,
  settle,
  success,
  turn,
  uint32,
} from "./test-peers.ts";
import { linkPair } from "./testing.ts";

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
  }, 120_000);

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
