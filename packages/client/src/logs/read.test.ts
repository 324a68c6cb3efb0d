import { expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LogFile } from "@hull/shim/log-file";
import { TimedLog } from "@hull/shim/timed-log";
import fc from "fast-check";
import { readEntries } from "./entries.ts";
import type { LogPlace } from "./place.ts";
import { readLog } from "./read.ts";

function temporary(): Disposable & { file: string } {
  const path = mkdtempSync(join(tmpdir(), "hull-log-"));
  return { file: join(path, "log"), [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

async function textOf(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  return Buffer.concat(await Array.fromAsync(chunks)).toString();
}

const plain = (file: string): LogPlace => ({ file, rotates: false, times: false });

test("the tail of a log is its last lines, over all of its files", async () => {
  const line = fc.string({ unit: "grapheme-ascii", maxLength: 12 }).filter((text) => !text.includes("\n"));
  await fc.assert(
    fc.asyncProperty(
      fc.array(line, { maxLength: 30 }),
      fc.nat(40),
      fc.option(fc.integer({ min: 1, max: 60 }), { nil: undefined }),
      fc.boolean(),
      async (lines, tail, maxSize, ended) => {
        using log = temporary();
        const file = new LogFile(log.file, maxSize === undefined ? undefined : { maxSize, maxFiles: 99 });
        const all = lines.map((text, at) => (at === lines.length - 1 && !ended ? text || "x" : `${text}\n`));
        for (const text of all) file.write(Buffer.from(text));
        file.close();
        const place = { ...plain(log.file), rotates: maxSize !== undefined };
        expect(await textOf(readLog(place, { tail }))).toBe(tail === 0 ? "" : all.slice(-tail).join(""));
        expect(await textOf(readLog(place))).toBe(all.join(""));
      },
    ),
    { numRuns: 60 },
  );
});

test("following a log that is rotated meanwhile misses nothing, and ends when it is told to", async () => {
  // Names change while the reader opens files and between its looks: each round at other moments.
  for (const pause of [100, 73, 31, 250, 600]) {
    using log = temporary();
    const file = new LogFile(log.file, { maxSize: 2000, maxFiles: 50 });
    const { promise: end, resolve } = Promise.withResolvers<void>();
    const reading = textOf(readLog({ ...plain(log.file), rotates: true }, { follow: () => end }));
    let wanted = "";
    for (let number = 0; number < 2000; number++) {
      const text = `line ${number}\n`;
      wanted += text;
      file.write(Buffer.from(text));
      if (number % pause === 0) await Bun.sleep(1);
    }
    resolve();
    expect(await reading).toBe(wanted);
    file.close();
  }
});

test("a log that is truncated begins anew, and one that isn't there is empty", async () => {
  using log = temporary();
  expect(await textOf(readLog(plain(log.file), { follow: () => Promise.resolve() }))).toBe("");
  writeFileSync(log.file, "a long line before\n");
  const { promise: end, resolve } = Promise.withResolvers<void>();
  const reading = readLog(plain(log.file), { follow: () => end });
  expect(Buffer.from((await reading.next()).value ?? []).toString()).toBe("a long line before\n");
  truncateSync(log.file);
  appendFileSync(log.file, "anew\n");
  expect(Buffer.from((await reading.next()).value ?? []).toString()).toBe("anew\n");
  resolve();
  expect((await reading.next()).done).toBe(true);
});

test("why the end can't be known is told when all is read", async () => {
  using log = temporary();
  writeFileSync(log.file, "text\n");
  const reading = readLog(plain(log.file), {
    follow: async () => {
      throw new Error("the daemon has gone");
    },
  });
  expect(Buffer.from((await reading.next()).value ?? []).toString()).toBe("text\n");
  await expect(reading.next()).rejects.toThrow("the daemon has gone");
});

test("a log with times has both outputs, every byte, whole lines in each file; and keeps what came when", async () => {
  using log = temporary();
  const timed = new TimedLog(log.file, { maxSize: 300, maxFiles: 99 });
  const [stdout, stderr] = [timed.sink("stdout"), timed.sink("stderr")];
  const place = { file: log.file, rotates: true, times: true };
  for (let number = 0; number < 20; number++) void stdout.take(Buffer.from(`number ${number}\r\nand `));
  const between = new Date();
  await Bun.sleep(5);
  void stderr.take(Buffer.from("an error\nunfinished"));
  stdout.end();
  stdout.close();
  stderr.end();
  stderr.close();
  const entries = (await Array.fromAsync(readEntries(place))).flat();
  const text = (output: string) =>
    entries.filter((entry) => entry.output === output).map((entry) => `${entry.text}${entry.whole ? "\n" : ""}`);
  expect(text("stderr")).toEqual(["an error\n", "unfinished"]);
  expect(text("stdout").join("")).toBe(Array.from({ length: 20 }, (_, at) => `number ${at}\r\nand `).join(""));
  const since = (await Array.fromAsync(readEntries(place, { since: new Date(between.getTime() + 1) }))).flat();
  expect(since.map((entry) => entry.text)).toEqual(
    ["and ", "an error", "unfinished"].toSorted(
      (a, b) => entries.findIndex((e) => e.text === a) - entries.findIndex((e) => e.text === b),
    ),
  );
  const until = (await Array.fromAsync(readEntries(place, { until: between, tail: 25 }))).flat();
  expect(until.every(({ output }) => output === "stdout")).toBe(true);
});
