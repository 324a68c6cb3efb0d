import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { errorCodes, frameFlags, frameTypes, preface } from "./codes.ts";
import { Connection, type ConnectionOwner } from "./connection.ts";
import type { FieldList } from "./fields.ts";
import {
  block,
  both,
  echo,
  frame,
  framesOf,
  post,
  Recorder,
  raw,
  setting,
  settle,
  turn,
  uint32,
} from "./test-peers.ts";
import { linkPair } from "./testing.ts";

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
  }, 120_000);

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
