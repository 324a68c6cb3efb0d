import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { LogLines } from "./log-lines.ts";

const now = { seconds: 1_792_000_000, nanos: 42 };
const time = new Date(now.seconds * 1000).toISOString().slice(0, 19);

/** The log of an output that comes in chunks. */
function logOf(chunks: readonly (string | Uint8Array)[], maxLine = 0): string {
  const lines = new LogLines("stdout", maxLine);
  const text = chunks.map((chunk) => lines.take(Buffer.from(chunk as string, "latin1"), now)).join("") + lines.end(now);
  return text.replace(/^.*?\.000000042(Z|[+-]\d\d:\d\d) stdout /gm, "");
}

describe("lines of a CRI log", () => {
  test("a line has its time to the nanosecond, its stream, and its text", () => {
    const text = new LogLines("stderr", 16384).take(Buffer.from("hello\n"), now);
    const zone = -new Date(now.seconds * 1000).getTimezoneOffset();
    if (zone === 0) expect(text).toBe(`${time}.000000042Z stderr F hello\n`);
    expect(text).toMatch(/^\S+\.000000042(Z|[+-]\d\d:\d\d) stderr F hello\n$/);
  });

  test("ends, empty lines, and the rest without an end", () => {
    expect(logOf(["a\nb\n\nc"])).toBe("F a\nF b\nF \nP c\n");
    expect(logOf(["a\r\n\r\n\r\r\nx\ry\n"])).toBe("F a\nF \nF \r\nF x\ry\n");
    expect(logOf(["a\r", "\nb\r", "c\n"])).toBe("F a\nF b\rc\n");
    expect(logOf(["", "\n"])).toBe("F \n");
    expect(logOf(["a", "b", "c\nd\r"])).toBe("F abc\nP d\r\n");
  });

  test("a line that is too long is split, one that is just as long as it may be is not", () => {
    expect(logOf(["abcd\nabcde\nabcdefghi\n"], 4)).toBe("F abcd\nP abcd\nF e\nP abcd\nP efgh\nF i\n");
    expect(logOf(["abcd\r", "\nabcd\r\n"], 4)).toBe("F abcd\nF abcd\n");
    expect(logOf(["abcd\r", "e\n"], 4)).toBe("P abcd\nF \re\n");
    // What is too long is not waited for.
    const lines = new LogLines("stdout", 4);
    expect(lines.take(Buffer.from("abcde"), now)).toEndWith(" P abcd\n");
    expect(logOf(["x".repeat(100_000)])).toBe(`P ${"x".repeat(100_000)}\n`);
  });

  test("however it is cut into chunks, the log is the same, and holds every byte", () => {
    const piece = fc.oneof(
      fc.constantFrom("\n", "\r\n", "\r", "a", "bb", "ccccccc"),
      fc.uint8Array({ maxLength: 9 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
    );
    fc.assert(
      fc.property(
        fc.array(piece).map((pieces) => pieces.join("")),
        fc.array(fc.nat(60)),
        fc.integer({ min: 1, max: 9 }),
        (text, cuts, maxLine) => {
          const edges = [0, ...cuts.filter((cut) => cut < text.length).sort((a, b) => a - b), text.length];
          const chunks = edges.slice(1).map((edge, index) => text.slice(edges[index], edge));
          const log = logOf(chunks, maxLine);
          expect(log).toBe(logOf([text], maxLine));
          const entries = log === "" ? [] : log.slice(0, -1).split("\n");
          for (const entry of entries) expect(entry).toMatch(/^[FP] /);
          for (const entry of entries.slice(0, -1)) expect(entry.length - 2).toBeLessThanOrEqual(maxLine);
          const again = entries.map((entry) => `${entry.slice(2)}${entry.startsWith("F") ? "\n" : ""}`).join("");
          expect(again).toBe(text.replaceAll("\r\n", "\n"));
        },
      ),
      { numRuns: 1000 },
    );
  });
});
