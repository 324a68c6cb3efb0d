import { describe, expect, test } from "bun:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { isCode } from "@hull/errors";
import fc from "fast-check";
import { decompress, detectCompression } from "./index.ts";

/** Decompresses bytes that come in reads of at most `step`. */
async function plain(bytes: Uint8Array, step = 1 << 30): Promise<Buffer> {
  let at = 0;
  const parts: Uint8Array[] = [];
  const read = (into: Uint8Array) => {
    const count = Math.min(step, into.length, bytes.length - at);
    into.set(bytes.subarray(at, at + count));
    at += count;
    return count;
  };
  await decompress(read, (part) => parts.push(part.slice()));
  return Buffer.concat(parts);
}

const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4]);
const codecs = { gzip: gzipSync, zstd: zstdCompressSync };

describe("decompress", () => {
  test("gives back what was compressed, in several members or frames, read in pieces of any size", async () => {
    const parts = fc.array(fc.uint8Array({ minLength: 1, maxLength: 3000 }), { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(
        parts,
        fc.constantFrom("gzip" as const, "zstd" as const),
        fc.integer({ min: 1, max: 999 }),
        async (contents, kind, step) => {
          const bytes = Buffer.concat(contents.map((content) => codecs[kind](content)));
          expect((await plain(bytes, step)).equals(Buffer.concat(contents))).toBe(true);
        },
      ),
    );
  });

  test("large ones, and those that end where a buffer ends", async () => {
    for (const size of [(1 << 19) - 1, 1 << 19, 1 << 20, (1 << 20) + 1, 5_000_000]) {
      const content = Buffer.alloc(size, "some text that compresses well ");
      for (const kind of ["gzip", "zstd"] as const)
        expect((await plain(codecs[kind](content))).equals(content)).toBe(true);
    }
  });

  test("without compression nothing changes, and nothing is nothing", async () => {
    expect((await plain(Buffer.from("tar"), 1)).toString()).toBe("tar");
    expect((await plain(new Uint8Array(0))).length).toBe(0);
  });

  test("a stream that is cut off anywhere is an error", async () => {
    const content = Buffer.from("hello ".repeat(500));
    for (const kind of ["gzip", "zstd"] as const) {
      const whole = codecs[kind](content);
      for (let length = 4; length < whole.length; length++) {
        await expect(plain(whole.subarray(0, length))).rejects.toThrow("unexpected end of file");
      }
    }
  });

  test("what follows the end is another member, a skippable frame, or an error", async () => {
    const [gzip, zstd] = [gzipSync("x"), zstdCompressSync("x")];
    expect((await plain(Buffer.concat([skippable, zstd, skippable]))).toString()).toBe("x");
    for (const bytes of [gzip, zstd]) {
      for (const rest of ["garbage", "\0\0\0\0\0\0"]) {
        await expect(plain(Buffer.concat([bytes, Buffer.from(rest)]))).rejects.toThrow("damaged");
        await expect(plain(Buffer.concat([bytes, Buffer.from(rest)]), bytes.length)).rejects.toThrow("damaged");
      }
    }
  });

  test("damage is an invalid argument, or shows in the bytes, but never does more", async () => {
    const wholes = [gzipSync("hello ".repeat(300)), zstdCompressSync("hello ".repeat(300))];
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...wholes), fc.nat(), fc.nat(255), async (whole, position, value) => {
        const bytes = Uint8Array.from(whole);
        bytes[position % bytes.length] = value;
        try {
          await plain(bytes);
        } catch (error) {
          if (!isCode(error, "invalidArgument")) throw error;
        }
      }),
    );
  });

  test("what the taker throws comes out, also while a step is under way", async () => {
    const bytes = gzipSync(Buffer.alloc(3_000_000));
    let at = 0;
    const read = (into: Uint8Array) => {
      const count = Math.min(into.length, bytes.length - at);
      into.set(bytes.subarray(at, at + count));
      at += count;
      return count;
    };
    const take = () => {
      throw new Error("full");
    };
    await expect(decompress(read, take)).rejects.toThrow("full");
  });

  test("is told by the first bytes", () => {
    expect(detectCompression(gzipSync(""))).toBe("gzip");
    expect(detectCompression(zstdCompressSync(""))).toBe("zstd");
    expect(detectCompression(skippable)).toBe("zstd");
    expect(detectCompression(Buffer.from("usr/"))).toBe("none");
    expect(detectCompression(new Uint8Array(0))).toBe("none");
  });
});
