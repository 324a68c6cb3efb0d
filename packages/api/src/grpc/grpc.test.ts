import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  decodeMessageText,
  decodeTimeout,
  encodeMessageText,
  encodeTimeout,
  isGrpcContent,
  statusOf,
  trailersOf,
} from "./headers.ts";
import { MessageDecoder, maximumMessage } from "./message.ts";
import { encodeMessageFrame } from "./testing.ts";

describe("gRPC's messages", () => {
  test("have the bytes that the protocol says", () => {
    expect(Buffer.from(encodeMessageFrame(Buffer.from("abc"))).toString("hex")).toBe("0000000003616263");
  });

  test("come out as they went in, however the body is cut", () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 40 }));
    fc.assert(
      fc.property(messages, fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }), (sent, cuts) => {
        const body = Buffer.concat(sent.map((message) => encodeMessageFrame(message)));
        const decoder = new MessageDecoder();
        const received: Uint8Array[] = [];
        for (let at = 0, i = 0; at < body.length; i++) {
          const size = cuts[i % cuts.length] ?? 1;
          decoder.push(Uint8Array.from(body.subarray(at, at + size)), (message) => received.push(message));
          at += size;
        }
        expect(received).toEqual(sent);
        expect(decoder.atBoundary).toBe(true);
      }),
    );
  });

  test("that are too long or compressed are refused before they are held", () => {
    const prefix = (flag: number, length: number) => {
      const bytes = new Uint8Array(5);
      bytes[0] = flag;
      new DataView(bytes.buffer).setUint32(1, length);
      return bytes;
    };
    const push = (bytes: Uint8Array) => () => new MessageDecoder().push(bytes, () => {});
    expect(push(prefix(0, maximumMessage + 1))).toThrow(
      "grpc: received message larger than max (16777217 vs. 16777216)",
    );
    expect(push(prefix(1, 1))).toThrow("compressed");
    expect(() => encodeMessageFrame(new Uint8Array(maximumMessage + 1))).toThrow("grpc: trying to send message larger");
    expect(() => encodeMessageFrame(new Uint8Array(3), 2)).toThrow("(3 vs. 2)");
    expect(() => new MessageDecoder(2).push(prefix(0, 3), () => {})).toThrow("(3 vs. 2)");
  });
});

describe("gRPC's headers", () => {
  test("carry a text in percent signs, valid or not", () => {
    expect(decodeMessageText("d%C3%A9j%c3%a0 100%25")).toBe("d\u00e9j\u00e0 100%");
    expect(encodeMessageText("d\u00e9j\u00e0 100%\n")).toBe("d%C3%A9j%C3%A0 100%25%0A");
    expect(encodeMessageText("\ud800")).toBe("%EF%BF%BD");
    expect(decodeMessageText("100% of %zz%4")).toBe("100% of %zz%4");
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        expect(decodeMessageText(encodeURIComponent(text))).toBe(text);
        expect(decodeMessageText(encodeMessageText(text))).toBe(text);
        expect(encodeMessageText(text)).toMatch(/^[ -~]*$/);
      }),
    );
    fc.assert(fc.property(fc.string(), (text) => typeof decodeMessageText(text) === "string"));
  });

  test("carry a timeout of at most eight digits, never shorter than asked", () => {
    expect([0, 1.5, 100_000, 1e9, 1e15].map(encodeTimeout)).toEqual([
      "0u",
      "1500u",
      "100000m",
      "1000000S",
      "99999999S",
    ]);
    const units: Record<string, number> = { u: 0.001, m: 1, S: 1000 };
    fc.assert(
      fc.property(fc.double({ min: 0, max: 9e10, noNaN: true }), (milliseconds) => {
        const [, digits = "", unit = ""] = /^(\d{1,8})([umS])$/.exec(encodeTimeout(milliseconds)) ?? [];
        expect(decodeTimeout(`${digits}${unit}`)).toBeCloseTo(Number(digits) * (units[unit] ?? 0), 3);
        expect(Number(digits) * (units[unit] ?? 0)).toBeGreaterThanOrEqual(milliseconds * (1 - 1e-9));
      }),
    );
  });

  test("carry a timeout in any unit, and nothing else", () => {
    expect(["1H", "2M", "3S", "4m", "5u", "6000000n"].map(decodeTimeout)).toEqual([
      3_600_000, 120_000, 3000, 4, 0.005, 6,
    ]);
    for (const text of ["", "1", "S", "1s", "-1S", "123456789S", "1.5S", "1S "]) {
      expect(() => decodeTimeout(text)).toThrow("malformed grpc-timeout");
    }
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          expect(decodeTimeout(text)).toBeGreaterThanOrEqual(0);
        } catch (error) {
          expect(error).toMatchObject({ code: "invalidArgument" });
        }
      }),
    );
  });

  test("say that the content is gRPC's", () => {
    const types = [
      "application/grpc",
      "application/grpc+proto",
      "application/grpc;v=1",
      "application/grpcx",
      "text/plain",
    ];
    expect(types.map(isGrpcContent)).toEqual([true, true, true, false, false]);
    expect(isGrpcContent(undefined)).toBe(false);
  });

  test("carry the status", () => {
    expect(trailersOf({ code: 0, message: "" })).toEqual(["grpc-status", "0"]);
    expect(trailersOf({ code: 9, message: "" })).toEqual(["grpc-status", "9"]);
    expect(statusOf(trailersOf({ code: 5, message: "\u00fc: not found" }))).toMatchObject({ message: "\u00fc" });
    expect(statusOf(["grpc-status", "0"])).toBeNull();
    expect(statusOf([])).toBeUndefined();
    expect(statusOf(["grpc-status", "5", "grpc-message", "x: not found"])).toMatchObject({
      code: "notFound",
      message: "x",
    });
    expect(statusOf(["grpc-status", "99", "grpc-message", "x"])).toMatchObject({ code: "unknown" });
    expect(statusOf(["grpc-status", "?"])).toMatchObject({ code: "unknown" });
  });
});
