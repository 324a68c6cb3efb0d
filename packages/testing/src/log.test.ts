import { expect, test } from "bun:test";
import { Output } from "@hull/client/sdk/output";
import fc from "fast-check";
import { OutputLog } from "./log.ts";

const outputOf = (chunks: readonly string[]): Output =>
  new Output(
    (async function* () {
      for (const chunk of chunks) yield new TextEncoder().encode(chunk);
    })(),
  );

const nothing = (): Output => outputOf([]);

test("lines are those of the output, however it is cut", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.string({ unit: fc.constantFrom("a", "é", "\n") })), async (chunks) => {
      const log = new OutputLog({ stdout: outputOf(chunks), stderr: nothing() });
      const lines = await Array.fromAsync(log.lines());
      const text = chunks.join("");
      expect(lines).toEqual(text === "" ? [] : text.replace(/\n$/, "").split("\n"));
      await log.ended;
      expect(log.text).toBe(lines.map((line) => `${line}\n`).join(""));
    }),
  );
});

test("several follow it, each from its beginning, and may leave", async () => {
  const more = Promise.withResolvers<void>();
  const stdout = new Output(
    (async function* () {
      yield new TextEncoder().encode("one\n");
      await more.promise;
      yield new TextEncoder().encode("two\n");
    })(),
  );
  const log = new OutputLog({ stdout, stderr: outputOf(["beside\n"]) });
  const controller = new AbortController();
  const short: string[] = [];
  const leaving = (async () => {
    for await (const line of log.lines(controller.signal)) short.push(line);
  })();
  const all = Array.fromAsync(log.lines());
  await Bun.sleep(10);
  controller.abort();
  await leaving;
  more.resolve();
  expect(short.sort()).toEqual(["beside", "one"]);
  expect((await all).sort()).toEqual(["beside", "one", "two"]);
});

test("the last MiB is kept", async () => {
  const line = `${"x".repeat(1023)}\n`;
  const log = new OutputLog({ stdout: outputOf([...Array(2000).fill(line), "last\n"]), stderr: nothing() });
  await log.ended;
  expect(log.text.length).toBeLessThanOrEqual(1 << 20);
  expect(log.text.length).toBeGreaterThan((1 << 20) - 2048);
  expect(log.text.endsWith("last\n")).toBe(true);
});
