import { expect, test } from "bun:test";
import { isCode } from "@hull/errors";
import fc from "fast-check";
import { parseTime } from "./times.ts";

const now = new Date("2026-01-02T12:00:00Z");

test("times are dates, seconds, or so long before now", () => {
  const read = (text: string): string => parseTime(text, "--since", now).toISOString();
  expect(read("2026-01-02T03:04:05Z")).toBe("2026-01-02T03:04:05.000Z");
  expect(read("2026-01-02T03:04:05.123456789+01:00")).toBe("2026-01-02T02:04:05.123Z");
  expect(read("2026-01-02T03:04")).toBe(new Date(2026, 0, 2, 3, 4).toISOString());
  expect(read("2026-01-02")).toBe(new Date(2026, 0, 2).toISOString());
  expect(read("1767322800.5")).toBe("2026-01-02T03:00:00.500Z");
  expect(read("10m")).toBe("2026-01-02T11:50:00.000Z");
  expect(read("1h30m")).toBe("2026-01-02T10:30:00.000Z");
});

test("anything else is refused by the flag's name", () => {
  for (const text of ["", "yesterday", "2026-13-01", "2026-01-02T99:00:00Z"])
    expect(() => parseTime(text, "--until", now)).toThrow(/--until takes a time/);
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        expect(parseTime(text, "--since", now).getTime()).toBeNumber();
      } catch (error) {
        expect(isCode(error, "invalidArgument")).toBe(true);
      }
    }),
  );
});
