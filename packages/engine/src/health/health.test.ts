import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { healthLabels, probeOf } from "./index.ts";

const labels = (check: unknown): Record<string, string> => ({
  [healthLabels.check]: typeof check === "string" ? check : JSON.stringify(check),
});

describe("labels of health checks", () => {
  test("have docker's defaults", () => {
    expect(probeOf(labels({ Test: ["CMD", "true"] }))).toEqual({
      args: ["true"],
      interval: 30_000,
      timeout: 30_000,
      startPeriod: 0,
      startInterval: 5000,
      retries: 3,
    });
    expect(probeOf(labels({ Test: ["CMD-SHELL", "a | b"], Interval: 2e9, Retries: 1 }))).toMatchObject({
      args: ["/bin/sh", "-c", "a | b"],
      interval: 2000,
      retries: 1,
    });
  });

  test("of none are none", () => {
    for (const none of ["", "{", { Test: ["NONE"] }, { Test: [] }, { Test: ["CMD"] }, { Interval: 5 }, { Test: "CMD" }])
      expect(probeOf(labels(none))).toBeUndefined();
    expect(probeOf({})).toBeUndefined();
  });

  test("any text is a check with times above zero, or none", () => {
    const numbers = fc.record(
      { Test: fc.constant(["CMD", "true"]), Interval: fc.double(), Timeout: fc.integer(), Retries: fc.anything() },
      { requiredKeys: ["Test"] },
    );
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), numbers), (check) => {
        const probe = probeOf(labels(check));
        if (probe === undefined) return;
        expect(Math.min(probe.interval, probe.timeout, probe.startInterval, probe.retries)).toBeGreaterThan(0);
      }),
    );
  });
});
