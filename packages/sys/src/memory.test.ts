import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { codeMappings, releaseCode } from "./memory.ts";

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
