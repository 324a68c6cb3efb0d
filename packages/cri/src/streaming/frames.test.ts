import { describe, expect, test } from "bun:test";
import { constants, createDeflate } from "node:zlib";
import fc from "fast-check";
import { Inbox } from "./inbox.ts";
import { dictionary } from "./spdy/dictionary.ts";
import { controlFrame, FrameParser as SpdyParser } from "./spdy/frame.ts";
import { HeaderDecoder, HeaderEncoder } from "./spdy/headers.ts";
import { Tokens } from "./tokens.ts";
import { frameOf, headerSize, unmask, FrameParser as WebSocketParser } from "./websocket/frame.ts";

/** In pieces of such sizes, over and over. */
function* pieces(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    // Each at a place of its own, as it may be in a larger buffer.
    const place = new Uint8Array(size + (turn % 5));
    const piece = bytes.subarray(at, at + size);
    place.set(piece, turn % 5);
    yield place.subarray(turn % 5, (turn % 5) + piece.length);
    at += size;
  }
}

const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 });

describe("SPDY", () => {
  const header = fc.tuple(fc.stringMatching(/^[a-z-]{1,20}$/), fc.stringMatching(/^[ -~]{0,60}$/));
  const blocks = fc.array(fc.uniqueArray(header, { selector: ([name]) => name, maxLength: 6 }), { maxLength: 6 });

  test("its dictionary is the specification's", () => {
    expect(dictionary.length).toBe(1423);
    expect(Bun.hash.adler32(dictionary)).toBe(0xe3c6a7c2);
  });

  test("headers come back as they were", () => {
    fc.assert(
      fc.property(blocks, (all) => {
        const [encoder, decoder] = [new HeaderEncoder(), new HeaderDecoder()];
        for (const block of all) {
          const headers = new Map(block);
          expect(decoder.decode(encoder.encode(headers))).toEqual(headers);
        }
      }),
    );
  });

  test("headers can be read that zlib has compressed", async () => {
    const deflate = createDeflate({ dictionary: Buffer.from(dictionary), level: 9 });
    const packed: Buffer[] = [];
    deflate.on("data", (part: Buffer) => packed.push(part));
    const decoder = new HeaderDecoder();
    for (let count = 0; count < 400; count++) {
      const value = `${count} `.repeat(60);
      const plain = Buffer.concat([
        Buffer.from("\0\0\0\u0001\0\0\0\u0004port\0\0"),
        Buffer.alloc(2),
        Buffer.from(value),
      ]);
      plain.writeUInt16BE(value.length, 14);
      deflate.write(plain);
      await new Promise<void>((resolve) => {
        deflate.flush(constants.Z_SYNC_FLUSH, () => resolve());
      });
      expect(decoder.decode(Buffer.concat(packed.splice(0)))).toEqual(new Map([["port", value]]));
    }
  });

  test("headers that are none are refused", () => {
    const decoder = (): HeaderDecoder => new HeaderDecoder();
    const start = [0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2];
    expect(() => decoder().decode(Uint8Array.of(1, 2, 3))).toThrow("not compressed by zlib");
    expect(() => decoder().decode(Uint8Array.of(0x78, 0xbb, 1, 2, 3, 4))).toThrow("another dictionary");
    expect(() => decoder().decode(Uint8Array.of(...start, 0xff, 0xff, 0xff))).toThrow("can't be decompressed");
    const large = new HeaderEncoder().encode(new Map([["a", "x".repeat(70_000)]]));
    expect(() => decoder().decode(large)).toThrow("can't be decompressed");
    const cut = Uint8Array.of(...start, 0, 4, 0, 0xfb, 0xff, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff);
    expect(() => decoder().decode(cut)).toThrow("cut off");
  });

  test("frames are read from pieces of any size", () => {
    const frame = fc.oneof(
      fc.record({ type: fc.integer({ min: 1, max: 20 }), payload: fc.uint8Array({ maxLength: 60 }) }),
      fc.record({ stream: fc.integer({ min: 1, max: 0x7fff_ffff }), payload: fc.uint8Array({ maxLength: 60 }) }),
    );
    fc.assert(
      fc.property(fc.array(frame), sizes, (frames, cuts) => {
        const sent = frames.map((each) => {
          if ("type" in each) return Buffer.from(controlFrame(each.type, 1, [], each.payload));
          const head = Buffer.alloc(8);
          head.writeUInt32BE(each.stream);
          head.writeUInt32BE(0x100_0000 + each.payload.length, 4);
          return Buffer.concat([head, each.payload]);
        });
        const got: unknown[] = [];
        let data: Uint8Array[] = [];
        const parser = new SpdyParser({
          control: (type, flags, payload) => got.push({ type, flags, payload: [...payload] }),
          data: (_, piece) => data.push(piece.slice()),
          dataEnd: (stream, flags) => {
            got.push({ stream, flags, payload: [...Buffer.concat(data)] });
            data = [];
          },
        });
        for (const piece of pieces(Buffer.concat(sent), cuts)) parser.push(piece);
        expect(got).toEqual(frames.map((each) => ({ ...each, flags: 1, payload: [...each.payload] })));
      }),
    );
  });
});

describe("WebSocket", () => {
  test("a mask comes off wherever the bytes lie", () => {
    const places = fc.record({
      bytes: fc.uint8Array({ maxLength: 40 }),
      mask: fc.uint8Array({ minLength: 4, maxLength: 4 }),
      offset: fc.integer({ min: 0, max: 3 }),
      place: fc.integer({ min: 0, max: 7 }),
    });
    fc.assert(
      fc.property(places, ({ bytes, mask, offset, place }) => {
        const buffer = new Uint8Array(place + bytes.length);
        buffer.set(bytes, place);
        unmask(buffer.subarray(place), mask, offset);
        const expected = [...bytes].map((byte, index) => byte ^ (mask[(offset + index) % 4] ?? 0));
        expect([...buffer.subarray(place)]).toEqual(expected);
      }),
    );
  });

  test("messages are read from frames and pieces of any size", () => {
    const part = fc.uint8Array({ maxLength: 200 });
    const message = fc.record({ opcode: fc.constantFrom(1, 2), parts: fc.array(part, { minLength: 1, maxLength: 4 }) });
    const mask = fc.uint8Array({ minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(message), sizes, mask, (messages, cuts, key) => {
        const masked = (opcode: number, last: boolean, payload: Uint8Array): Buffer => {
          const frame = Buffer.from(frameOf(opcode, payload));
          const start = headerSize(payload.length);
          frame[0] = opcode | (last ? 0x80 : 0);
          frame[1] = (frame[1] ?? 0) | 0x80;
          const bytes = frame.subarray(start);
          for (let at = 0; at < bytes.length; at++) bytes[at] = (bytes[at] ?? 0) ^ (key[at % 4] ?? 0);
          return Buffer.concat([frame.subarray(0, start), key, bytes]);
        };
        const sent = messages.flatMap(({ opcode, parts }) => [
          ...parts.map((each, index) => masked(index === 0 ? opcode : 0, index === parts.length - 1, each)),
          masked(9, true, Buffer.from("ping")),
        ]);
        const got: { opcode: number; payload: number[] }[] = [];
        let pings = 0;
        const parser = new WebSocketParser({
          messageStart: (opcode) => void got.push({ opcode, payload: [] }),
          messagePart: (piece) => void got.at(-1)?.payload.push(...piece),
          messageEnd: () => {},
          control: (opcode, payload) => {
            if (opcode === 9 && Buffer.from(payload).toString() === "ping") pings++;
          },
        });
        for (const piece of pieces(Buffer.concat(sent), cuts)) parser.push(piece);
        expect(got).toEqual(
          messages.map(({ opcode, parts }) => ({ opcode, payload: parts.flatMap((each) => [...each]) })),
        );
        expect(pings).toBe(messages.length);
      }),
    );
  });

  test.each([
    ["not masked", [0x82, 1, 0]],
    ["reserved bits", [0xc2, 0x80, 0, 0, 0, 0]],
    ["not known", [0x83, 0x80, 0, 0, 0, 0]],
    ["goes on without a beginning", [0x80, 0x80, 0, 0, 0, 0]],
    ["comes in parts", [0x09, 0x80, 0, 0, 0, 0]],
    ["highest bit", [0x82, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
  ])("frames that break the rules are refused: %s", (reason, bytes) => {
    const parser = new WebSocketParser({ messageStart() {}, messagePart() {}, messageEnd() {}, control() {} });
    expect(() => parser.push(Uint8Array.from(bytes))).toThrow(reason);
  });
});

describe("what waits", () => {
  test("in an inbox holds the client back when it is too much, until half of it is read", async () => {
    const held = new Set<object>();
    const inbox = new Inbox({ hold: (who) => held.add(who), release: (who) => held.delete(who) });
    for (let count = 0; count < 5; count++) inbox.push(new Uint8Array(64 * 1024));
    expect(held.size).toBe(1);
    const reader = inbox[Symbol.asyncIterator]();
    await reader.next();
    await reader.next();
    expect(held.size).toBe(1);
    await reader.next();
    expect(held.size).toBe(0);
    for (let count = 0; count < 5; count++) inbox.push(new Uint8Array(64 * 1024));
    expect(held.size).toBe(1);
    await reader.return();
    expect(held.size).toBe(0);
    inbox.push(new Uint8Array(1024 * 1024));
    expect(held.size).toBe(0);
  });

  test("as a token is there once", () => {
    const tokens = new Tokens<number>();
    const token = tokens.insert(7);
    expect(token).toMatch(/^[A-Za-z0-9_-]{8}$/);
    expect([tokens.consume("nothing!"), tokens.consume(token), tokens.consume(token)]).toEqual([
      undefined,
      7,
      undefined,
    ]);
  });
});
