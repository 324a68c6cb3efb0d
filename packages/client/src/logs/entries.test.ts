import { expect, test } from "bun:test";
import { LogLines } from "@hull/shim/cri/log-lines";
import fc from "fast-check";
import { LogEntries, millisOf } from "./entries.ts";

const now = { seconds: 1_767_225_600, nanos: 5 };

test("what the shim has logged is what was written, however it is cut", () => {
  const written = fc.array(fc.record({ isError: fc.boolean(), text: fc.string({ unit: "binary-ascii" }) }));
  fc.assert(
    fc.property(
      written,
      fc.integer({ min: 0, max: 20 }),
      fc.integer({ min: 1, max: 30 }),
      fc.boolean(),
      (chunks, longest, cut, exact) => {
        const lines = {
          stdout: new LogLines("stdout", longest, { exact }),
          stderr: new LogLines("stderr", longest, { exact }),
        };
        const wanted = { stdout: "", stderr: "" };
        let log = "";
        for (const { isError, text } of chunks) {
          const output = isError ? "stderr" : "stdout";
          const plain = exact ? text : text.replaceAll("\r", "");
          wanted[output] += plain;
          log += lines[output].take(Buffer.from(plain), now);
        }
        log += lines.stdout.end(now) + lines.stderr.end(now);
        const reader = new LogEntries();
        const read = { stdout: "", stderr: "" };
        for (let at = 0; at < log.length; at += cut) {
          for (const { output, text, whole, time } of reader.take(Buffer.from(log.slice(at, at + cut), "latin1"))) {
            read[output] += whole ? `${text}\n` : text;
            expect(millisOf(time ?? "")).toBe(now.seconds * 1000);
          }
        }
        expect(reader.end()).toEqual([]);
        expect(read).toEqual(wanted);
      },
    ),
  );
});

test("lines of another form were printed", () => {
  const log = new LogEntries();
  const text =
    "nonsense\n2026 other F x\n2026-01-02T00:00:00.5Z stderr P:x a\n2026-01-02T00:00:00.5+01:00 stdout F  b\nend";
  const printed = { output: "stdout", time: undefined, whole: true };
  expect(log.take(Buffer.from(text))).toEqual([
    { ...printed, text: "nonsense" },
    { ...printed, text: "2026 other F x" },
    { output: "stderr", time: "2026-01-02T00:00:00.5Z", text: "a", whole: false },
    { output: "stdout", time: "2026-01-02T00:00:00.5+01:00", text: " b", whole: true },
  ] as never);
  expect(log.end()).toEqual([{ ...printed, text: "end", whole: false }] as never);
  const plain = new LogEntries({ times: false });
  const [entry] = plain.take(Buffer.from("2026-01-02T00:00:00.5Z stderr F a\n"));
  expect(entry?.text).toBe("2026-01-02T00:00:00.5Z stderr F a");
});
