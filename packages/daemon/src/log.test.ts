import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createLogger, type LogFormat, parseLogLevel } from "./log.ts";

function lines(format: LogFormat): { lines: string[]; log: ReturnType<typeof createLogger> } {
  const written: string[] = [];
  const now = () => new Date("2026-01-02T03:04:05.678Z");
  return { lines: written, log: createLogger({ level: "info", format, write: (line) => written.push(line), now }) };
}

describe("log", () => {
  test("text is as logrus writes it", () => {
    const { lines: written, log } = lines("text");
    log.log("info", "starting hull", { version: "0.1.0", n: 1n, gone: undefined });
    log.log("warn", "x", { error: new Error('no "y"') });
    expect(written).toEqual([
      'time="2026-01-02T03:04:05.678Z" level=info msg="starting hull" version=0.1.0 n=1\n',
      'time="2026-01-02T03:04:05.678Z" level=warning msg=x error="no \\"y\\""\n',
    ]);
  });

  test("below the level nothing is written", () => {
    const { lines: written, log } = lines("text");
    log.log("debug", "no");
    expect(written).toEqual([]);
  });

  test("every message and value stays on one line of valid JSON", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string(), (message, value) => {
        const { lines: written, log } = lines("json");
        log.log("error", message, { value });
        expect(written[0]?.indexOf("\n")).toBe((written[0]?.length ?? 0) - 1);
        expect(JSON.parse(written[0] ?? "")).toEqual({ level: "error", msg: message, time: expect.any(String), value });
      }),
    );
  });

  test("a level that isn't one is refused by name", () => {
    expect(parseLogLevel("WARNING")).toBe("warn");
    expect(() => parseLogLevel("loud")).toThrow(
      'log level must be one of trace, debug, info, warn, error, fatal, panic, not "loud"',
    );
  });
});
