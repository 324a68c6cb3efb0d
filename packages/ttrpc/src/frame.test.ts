import { describe, expect, test } from "bun:test";
import { HullError } from "@hull/errors";
import fc from "fast-check";
import {
  encodeFrame,
  type Frame,
  FrameDecoder,
  frameFlags,
  frameTypes,
  headerLength,
  maximumPayload,
} from "./frame.ts";

function decodeAll(chunks: Iterable<Uint8Array>): Frame[] {
  const decoder = new FrameDecoder();
  const frames: Frame[] = [];
  for (const chunk of chunks) decoder.push(chunk, (frame) => frames.push(frame));
  return frames;
}

describe("a ttrpc frame", () => {
  test("has the bytes that the protocol says", () => {
    const frame = encodeFrame(
      0x01020305,
      frameTypes.data,
      frameFlags.remoteClosed | frameFlags.noData,
      Buffer.from("abc"),
    );
    expect(Buffer.from(frame).toString("hex")).toBe("00000003010203050305616263");
  });

  test("comes out as it went in, however the bytes are cut", () => {
    const frame = fc.record({
      streamId: fc.nat({ max: 0xffffffff }),
      type: fc.nat({ max: 255 }),
      flags: fc.nat({ max: 255 }),
      payload: fc.uint8Array({ maxLength: 60 }),
    });
    fc.assert(
      fc.property(fc.array(frame), fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (frames, cuts) => {
        const bytes = Buffer.concat(frames.map((f) => encodeFrame(f.streamId, f.type, f.flags, f.payload)));
        const chunks: Uint8Array[] = [];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const size = cuts[i % cuts.length] ?? 1;
          chunks.push(Uint8Array.from(bytes.subarray(at, at + size)));
          at += size;
        }
        expect(decodeAll(chunks)).toEqual(frames);
      }),
    );
  });

  test("of the longest payload passes, a longer one is refused by who sends it", () => {
    const payload = new Uint8Array(maximumPayload).fill(7);
    const bytes = encodeFrame(1, frameTypes.request, 0, payload);
    const [frame] = decodeAll([bytes.subarray(0, 5), bytes.subarray(5, 100), bytes.subarray(100)]);
    expect(frame?.payload).toEqual(payload);
    expect(() => encodeFrame(1, 1, 0, new Uint8Array(maximumPayload + 1))).toThrow(HullError);
  });

  test("that is too long is dropped by who reads it, and the next one read", () => {
    const length = maximumPayload + 1;
    const header = encodeFrame(5, frameTypes.request, 0, new Uint8Array(0));
    new DataView(header.buffer).setUint32(0, length);
    const next = encodeFrame(7, frameTypes.request, 0, Buffer.from("x"));
    const rest = Buffer.concat([new Uint8Array(length - 3), next]);
    const frames = decodeAll([header, new Uint8Array(3), Uint8Array.from(rest)]);
    expect(frames.map(({ streamId, oversize, payload }) => [streamId, oversize, payload.length])).toEqual([
      [5, length, 0],
      [7, undefined, 1],
    ]);
  });

  test("gives a payload that is a plain Uint8Array, also out of a Buffer", () => {
    const bytes = Buffer.from(encodeFrame(1, 1, 0, Buffer.from("abc")));
    const [frame] = decodeAll([bytes]);
    expect(frame?.payload.constructor).toBe(Uint8Array);
    expect(bytes.length).toBe(headerLength + 3);
  });
});
