import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { directoryName, fileName, SmallFiles } from "./small-file.ts";

const directory = mkdtempSync(join(tmpdir(), "hull-small-"));
afterAll(() => rmSync(directory, { recursive: true }));

const files = new SmallFiles();
const here = directoryName(directory);
const name = fileName("file");
const write = (text: string): void => writeFileSync(join(directory, "file"), text, "latin1");

describe("small files", () => {
  test("of any length are read whole", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 40_000 }), (length) => {
        const text = "0123456789abcde\n".repeat(length / 16 + 1).slice(0, length);
        write(text);
        expect(files.text(here, name)).toBe(text);
      }),
      { numRuns: 50 },
    );
  });

  test("give the number that they begin with", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constantFrom("", "\n", " 7\n"), (number, rest) => {
        write(`${number}${rest}`);
        expect(files.number(here, name)).toBe(number);
      }),
    );
    write("max\n");
    expect(files.number(here, name)).toBeUndefined();
    expect(files.number(here, name, 5n)).toBe(5n);
    write("");
    expect(files.number(here, name, 5n)).toBeUndefined();
  });

  test("that aren't there are undefined", () => {
    expect(files.text(here, fileName("none"))).toBeUndefined();
    expect(files.text(directoryName(join(directory, "none")), name)).toBeUndefined();
    write("");
    expect(files.text(directoryName(join(directory, "file")), name)).toBeUndefined();
  });

  test("of /proc are read to the end, though the kernel gives a page at a time", () => {
    const kallsyms = "/proc/kallsyms";
    const all = readFileSync(kallsyms, "latin1");
    expect(files.text(directoryName("/proc"), fileName("kallsyms"))?.length).toBe(all.length);
  });
});
