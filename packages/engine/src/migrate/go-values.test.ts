import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { goSigned, goTime, goUnsigned, typedValue } from "./go-values.ts";

const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"));

describe("Go's values", () => {
  test("times, as MarshalBinary writes 2026-11-22T09:29:16.674858812Z", () => {
    const seconds = BigInt(Date.parse("2026-11-22T09:29:16Z")) / 1000n + 62_135_596_800n;
    const written = bytes(
      `01${seconds.toString(16).padStart(16, "0")}${(674_858_812).toString(16).padStart(8, "0")}ffff`,
    );
    expect(goTime(written)).toBe(BigInt(Date.parse("2026-11-22T09:29:16Z")) * 1_000_000n + 674_858_812n);
    expect(goTime(undefined)).toBe(0n);
    expect(() => goTime(written.subarray(0, 10))).toThrow("a time is none of Go's");
  });

  test("numbers, as PutUvarint and PutVarint write them", () => {
    expect(goUnsigned(bytes("b404"))).toBe(564);
    expect(goSigned(bytes("b404"))).toBe(282);
    expect(goSigned(bytes("01"))).toBe(-1);
    expect(goUnsigned(undefined)).toBe(0);
    expect(() => goUnsigned(bytes("80"))).toThrow("a number is cut off");
    expect(() => goUnsigned(bytes("ffffffffffffffffff01"))).toThrow("a number is too large");
  });

  test("numbers come back whatever they are", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (number) => {
        const written: number[] = [];
        for (let rest = BigInt(number); ; rest >>= 7n) {
          written.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
          if (rest <= 0x7fn) break;
        }
        expect(goUnsigned(new Uint8Array(written))).toBe(number);
      }),
    );
  });

  test("typed values", () => {
    expect(typedValue(bytes("0a01611201ff"))).toEqual({ typeUrl: "a", value: bytes("ff") });
    expect(typedValue(undefined)).toBeUndefined();
    expect(() => typedValue(bytes("0aff"))).toThrow("a typed value can't be decoded");
  });
});
