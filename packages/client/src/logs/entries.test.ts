import { expect, test } from "bun:test";
import { LogLines } from "@hull/shim/cri/log-lines";
import fc from "fast-check";
import { PodLogText } from "./pod-logs.ts";

const now = { seconds: 1_767_225_600, nanos: 5 };

test("what the shim has logged is what was written, however it is cut", () => {
  const written = fc.array(fc.record({ isError: fc.boolean(), text: fc.string({ unit: "binary-ascii" }) }));
  fc.assert(
    fc.property(written, fc.integer({ min: 0, max: 20 }), fc.integer({ min: 1, max: 30 }), (chunks, longest, cut) => {
      const lines = { stdout: new LogLines("stdout", longest), stderr: new LogLines("stderr", longest) };
      const wanted = { stdout: "", stderr: "" };
      let log = "";
      for (const { isError, text } of chunks) {
        const output = isError ? "stderr" : "stdout";
        const plain = text.replaceAll("\r", "");
        wanted[output] += plain;
        log += lines[output].take(Buffer.from(plain), now);
      }
      log += lines.stdout.end(now) + lines.stderr.end(now);
      const reader = new PodLogText();
      const read = { stdout: "", stderr: "" };
      for (let at = 0; at < log.length; at += cut) {
        const { stdout, stderr } = reader.take(Buffer.from(log.slice(at, at + cut), "latin1"));
        read.stdout += stdout;
        read.stderr += stderr;
      }
      expect(read).toEqual(wanted);
    }),
  );
});

test("lines of no log are left out", () => {
  const text = new PodLogText();
  expect(text.take(Buffer.from("nonsense\n2026 other F x\n2026 stdout P:x a\n2026 stdout F  b\n"))).toEqual({
    stdout: "a b\n",
    stderr: "",
  });
});
