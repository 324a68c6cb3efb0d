import { describe, expect, test } from "bun:test";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { Writer } from "./writer.ts";

/** Fields of each kind that `Writer` writes in its own way, some inside a message. */
function write<W extends BinaryWriter>(
  writer: W,
  texts: readonly string[],
  signed: readonly bigint[],
  unsigned: readonly bigint[],
): string {
  for (const text of texts) writer.uint32(10).fork().uint32(10).string(text).join().uint32(18).string(text);
  for (const integer of signed) writer.uint32(24).int64(integer);
  for (const integer of unsigned) writer.uint32(32).uint64(integer);
  return Buffer.from(writer.finish()).toString("hex");
}

describe("the writer of messages", () => {
  test("writes what BinaryWriter does", () => {
    const text = fc.oneof(
      fc.string({ unit: "grapheme-ascii", minLength: 25, maxLength: 250 }),
      fc.string({ unit: "binary", maxLength: 250 }),
    );
    const small = fc.bigInt({ min: 0n, max: 2n ** 33n });
    fc.assert(
      fc.property(
        fc.array(text),
        fc.array(fc.oneof(small, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }))),
        fc.array(fc.oneof(small, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }))),
        (texts, signed, unsigned) => {
          const expected = write(new BinaryWriter(), texts, signed, unsigned);
          expect(write(new Writer(), texts, signed, unsigned)).toBe(expected);
        },
      ),
    );
  });

  test("writes texts of every length about its limits", () => {
    const texts = [0, 31, 32, 33, 127, 128, 191, 192, 193, 500].flatMap((length) => [
      "a".repeat(length),
      `${"a".repeat(Math.max(0, length - 1))}é`,
    ]);
    expect(write(new Writer(), texts, [], [])).toBe(write(new BinaryWriter(), texts, [], []));
  });
});
