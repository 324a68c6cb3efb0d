import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { type MappingKind, mappingParser, releaseCode } from "./memory.ts";

/** KiB of files' pages that are mapped. */
const mappedFiles = (): number => Number(/^RssFile:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);

/** What a text of maps has, read in chunks of so many bytes. */
function mappingsIn(text: string, chunk = 4096): [MappingKind, number, number][] {
  const found: [MappingKind, number, number][] = [];
  const parse = mappingParser((...mapping) => void found.push(mapping));
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += chunk) {
    const part = Buffer.alloc(chunk, 0xff);
    parse(part, bytes.copy(part, 0, at, at + chunk));
  }
  return found;
}

const maps = [
  "55d0c8a00000-55d0c8a10000 r--p 00000000 fe:00 1234                       /usr/bin/x",
  "55d0c8a10000-55d0c8a30000 r-xp 00010000 fe:00 1234                       /usr/bin/x",
  "55d0c8a30000-55d0c8a40000 rw-p 00030000 fe:00 1234                       /usr/bin/x",
  "55d0c9000000-55d0c9010000 rw-p 00000000 00:00 0                          [heap]",
  "7f0000000000-7f0000010000 r-xp 00000000 00:00 0 ",
  "7f0000010000-7f0000020000 rwxp 00000000 fe:00 1234                       /usr/bin/x",
  "7f0000020000-7f0000030000 rw-p 00000000 00:00 0 ",
  "7f0000030000-7f0000040000 r--p 00000000 00:00 0 ",
  "7f0000040000-7f0100040000 rw-p 00000000 00:00 0",
  "7f0100040000-7f0100050000 rw-s 00000000 00:00 0 ",
  "7f0100050000-7f0100060000 r-xp 00000000 fe:00 77                         /tmp/a - b r-xp 0 (deleted)",
  "7ffc0a9c5000-7ffc0a9c7000 rw-p 00000000 00:00 0                          [stack]",
  "7ffc0a9c7000-7ffc0a9c9000 r-xp 00000000 00:00 0                          [vdso]",
  "",
].join("\n");

describe("the mappings of a process", () => {
  const expected: [MappingKind, number, number][] = [
    ["file", 0x55d0c8a00000, 0x10000],
    ["code", 0x55d0c8a10000, 0x20000],
    ["file", 0x55d0c8a30000, 0x10000],
    ["memory", 0x7f0000020000, 0x10000],
    ["memory", 0x7f0000040000, 0x100000000],
    ["code", 0x7f0100050000, 0x10000],
  ];

  test("are a file's, and code where it can be executed and not written to, or memory where nothing is behind them", () => {
    expect(mappingsIn(maps)).toEqual(expected);
  });

  test("are the same however the text comes", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: maps.length }), (chunk) =>
        expect(mappingsIn(maps, chunk)).toEqual(expected),
      ),
    );
  });
});

describe("the code of this process", () => {
  test("is let go, and comes back where it is used", () => {
    const before = mappedFiles();
    expect(releaseCode()).toBeGreaterThan(1 << 20);
    expect(mappedFiles()).toBeLessThan(before);
    expect(JSON.parse('{"a": [1, 2]}')).toEqual({ a: [1, 2] });
  });
});

describe("pages that can be done without", () => {
  test("are let go in a process whose other threads sleep; nothing that it holds changes", async () => {
    const script = `
      import { readFileSync } from "node:fs";
      import { releasePages } from "${import.meta.dir}/memory.ts";
      // Of the executable's data: running on brings code back.
      const data = () => {
        const parts = readFileSync("/proc/self/smaps", "latin1").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
        const own = parts.filter((part) => / r[w-]-p /.test(part) && part.split("\\n")[0].endsWith(process.execPath));
        return own.reduce((sum, part) => sum + Number(/^Rss:\\s+(\\d+)/m.exec(part)[1]), 0);
      };
      const held = Buffer.alloc(1 << 22).fill(0);
      held[12345] = 7;
      const dataBefore = data();
      if (releasePages({ threads: 0 }) !== 0) throw new Error("there is one");
      const released = releasePages({ threads: 1000 });
      const dataAfter = data();
      const sum = held.reduce((total, byte) => total + byte, 0);
      console.log(JSON.stringify({ released, data: [dataBefore, dataAfter], sum }));`;
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
    const { released, data, sum } = JSON.parse(await new Response(child.stdout).text());
    expect(released).toBeGreaterThan(4_000_000);
    expect(data[1]).toBeLessThan(data[0]);
    expect(sum).toBe(7);
  });
});
