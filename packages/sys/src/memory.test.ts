import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { codeMappings, privateMappings, releaseCode } from "./memory.ts";

/** KiB of files' pages that are mapped. */
const mappedFiles = (): number => Number(/^RssFile:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);

describe("the code of this process", () => {
  test("is in mappings of files that can be executed and not written to", () => {
    const text = [
      "55d0c8a00000-55d0c8a10000 r--p 00000000 fe:00 1234                       /usr/bin/x",
      "55d0c8a10000-55d0c8a30000 r-xp 00010000 fe:00 1234                       /usr/bin/x",
      "55d0c8a30000-55d0c8a40000 rw-p 00030000 fe:00 1234                       /usr/bin/x",
      "7f0000000000-7f0000010000 r-xp 00000000 00:00 0 ",
      "7f0000010000-7f0000020000 rwxp 00000000 fe:00 1234                       /usr/bin/x",
      "7ffc0a9c5000-7ffc0a9c7000 r-xp 00000000 00:00 0                          [vdso]",
    ].join("\n");
    expect(codeMappings(text)).toEqual([{ start: 0x55d0c8a10000, size: 0x20000 }]);
  });

  test("is let go, and comes back where it is used", () => {
    const before = mappedFiles();
    expect(releaseCode()).toBeGreaterThan(1 << 20);
    expect(mappedFiles()).toBeLessThan(before);
    expect(JSON.parse('{"a": [1, 2]}')).toEqual({ a: [1, 2] });
  });
});

describe("pages of zeros", () => {
  test("are in mappings of memory alone", () => {
    const text = [
      "55d0c8a30000-55d0c8a40000 rw-p 00030000 fe:00 1234                       /usr/bin/x",
      "55d0c9000000-55d0c9010000 rw-p 00000000 00:00 0                          [heap]",
      "7f0000000000-7f0000010000 rw-p 00000000 00:00 0 ",
      "7f0000010000-7f0000020000 r--p 00000000 00:00 0 ",
      "7f0000020000-7f0100020000 rw-p 00000000 00:00 0 ",
      "7ffc0a9c5000-7ffc0a9c7000 rw-p 00000000 00:00 0                          [stack]",
    ].join("\n");
    expect(privateMappings(text)).toEqual([{ start: 0x7f0000000000, size: 0x10000 }]);
  });

  test("are let go in a process whose other threads sleep; nothing that it holds changes", async () => {
    const script = `
      import { readFileSync } from "node:fs";
      import { releaseZeroPages } from "${import.meta.dir}/memory.ts";
      const memory = () => Number(/^RssAnon:\\s+(\\d+)/m.exec(readFileSync("/proc/self/status", "latin1"))[1]);
      const held = Buffer.alloc(1 << 22).fill(0);
      held[12345] = 7;
      const before = memory();
      if (releaseZeroPages({ threads: 0 }) !== 0) throw new Error("there is one");
      const released = releaseZeroPages({ threads: 1000 });
      const sum = held.reduce((total, byte) => total + byte, 0);
      console.log(JSON.stringify({ released, less: before - memory(), sum }));`;
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
    const { released, sum } = JSON.parse(await new Response(child.stdout).text());
    expect(released).toBeGreaterThan(4_000_000);
    expect(sum).toBe(7);
  });
});
