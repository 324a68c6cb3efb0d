import { describe, expect, test } from "bun:test";
import { parseDuration } from "@hull/engine/plugin/duration";
import fc from "fast-check";
import { formatAge, formatBytes, formatDecimalBytes, formatDuration } from "./format.ts";
import { formatColumns, formatTable } from "./table-writer.ts";

describe("tables", () => {
  // Each as the real ctr printed it.
  test("blanks: every cell is as wide as its column", () => {
    expect(
      formatTable([
        ["NAME", "LABELS"],
        ["default", "a=b"],
      ]),
    ).toBe("NAME    LABELS \ndefault a=b    \n");
  });
  test("padding of four", () => {
    const layout = { minWidth: 4, padding: 4 };
    expect(formatColumns("TASK\tPID\tSTATUS\t\ncc\t11661\tSTOPPED\n", layout)).toBe(
      "TASK    PID      STATUS    \ncc      11661    STOPPED\n",
    );
  });
  test("tabs, to multiples of eight", () => {
    const digest = `sha256:${"a".repeat(64)}`;
    expect(
      formatColumns(`DIGEST\tSIZE\tAGE\n${digest}\t1.068MB\t2 hours\n`, { minWidth: 1, padding: 1, tabs: true }),
    ).toBe(`DIGEST\t\t\t\t\t\t\t\t\tSIZE\tAGE\n${digest}\t1.068MB\t2 hours\n`);
  });
  test("a column ends where a line has no such cell", () => {
    expect(formatColumns("a\tb\nlong text\na long cell\tb\n")).toBe("a b\nlong text\na long cell b\n");
  });
  test("nothing but blanks is added", () => {
    const cell = fc.stringMatching(/^[a-z]{0,8}$/);
    fc.assert(
      fc.property(fc.array(fc.array(cell, { minLength: 1 })), (rows) => {
        const text = formatTable(rows);
        expect(text.replace(/ /g, "")).toBe(rows.map((row) => `${row.join("")}\n`).join(""));
      }),
    );
  });
});

test("sizes", () => {
  expect([0, 512, 1024, 1_048_576, 1_610_612_736].map(formatBytes)).toEqual([
    "0.0 B",
    "512.0 B",
    "1.0 KiB",
    "1.0 MiB",
    "1.5 GiB",
  ]);
  expect([295, 1_068_123, 999_999_999].map(formatDecimalBytes)).toEqual(["295B", "1.068MB", "1000MB"]);
});

test("ages", () => {
  const minute = 60_000;
  expect([0, 1000, 5000, minute, 5 * minute, 60 * minute, 5 * 60 * minute, 72 * 60 * minute].map(formatAge)).toEqual([
    "Less than a second",
    "1 second",
    "5 seconds",
    "About a minute",
    "5 minutes",
    "About an hour",
    "5 hours",
    "3 days",
  ]);
});

test("a duration is read as it was written", () => {
  expect([0, 1.5, 1500, 86_400_000].map(formatDuration)).toEqual(["0s", "1.5ms", "1.5s", "24h0m0s"]);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1e9 }), (milliseconds) => {
      expect(parseDuration(formatDuration(milliseconds))).toBeCloseTo(milliseconds, 6);
    }),
  );
});
