import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { LogFile } from "./log-file.ts";

function temporary(): Disposable & { path: string } {
  const path = mkdtempSync(join(tmpdir(), "hull-log-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

test("files keep their size and number, and together hold the end of what was written", () => {
  const chunk = fc.uint8Array({ minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(
      fc.array(chunk),
      fc.integer({ min: 1, max: 100 }),
      fc.integer({ min: 1, max: 4 }),
      (chunks, maxSize, maxFiles) => {
        using directory = temporary();
        const path = join(directory.path, "a", "log");
        for (const half of [chunks.slice(0, chunks.length >> 1), chunks.slice(chunks.length >> 1)]) {
          const log = new LogFile(path, { maxSize, maxFiles });
          for (const part of half) log.write(part);
          log.close();
        }
        const names = readdirSync(join(directory.path, "a"));
        expect(names.length).toBeLessThanOrEqual(maxFiles);
        const files = [3, 2, 1]
          .map((age) => `${path}.${age}`)
          .concat(path)
          .filter((name) => existsSync(name));
        const kept = files.map((name) => readFileSync(name));
        for (const file of kept)
          expect(file.length <= maxSize || chunks.some(({ length }) => length === file.length)).toBe(true);
        const all = Buffer.concat(chunks);
        const end = Buffer.concat(kept);
        expect(all.subarray(all.length - end.length).equals(end)).toBe(true);
        if (names.length < maxFiles) expect(end.length).toBe(all.length);
      },
    ),
    { numRuns: 60 },
  );
});

test("without a size the file grows", () => {
  using directory = temporary();
  const log = new LogFile(join(directory.path, "log"));
  for (let i = 0; i < 10; i++) log.write(new Uint8Array(1000));
  log.close();
  expect(readdirSync(directory.path)).toEqual(["log"]);
  expect(readFileSync(join(directory.path, "log")).length).toBe(10_000);
});
