import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatNumber, writeMetrics } from "./exposition.ts";
import { Histogram } from "./histogram.ts";

describe("Prometheus' text format", () => {
  test("is written by name, labels in order, texts escaped, empty metrics left out", () => {
    const text = writeMetrics([
      { name: "b", help: "two\nlines", type: "counter", samples: [{ value: 1 }] },
      { name: "a", help: "h", type: "gauge", samples: [{ labels: { z: 'q"\\', c: "\n" }, value: 2.5 }] },
      { name: "none", help: "", type: "gauge", samples: [] },
    ]);
    expect(text).toBe(
      '# HELP a h\n# TYPE a gauge\na{c="\\n",z="q\\"\\\\"} 2.5\n# HELP b two\\nlines\n# TYPE b counter\nb 1\n',
    );
  });

  // As a real containerd printed them.
  test.each([
    [0, "0"],
    [1.9918e-5, "1.9918e-05"],
    [0.000153942, "0.000153942"],
    [532480, "532480"],
    [10_000_000, "1e+07"],
    [2_506_752, "2.506752e+06"],
    [9223372036854771712n, "9.223372036854772e+18"],
    [2 ** 64, "1.8446744073709552e+19"],
    [Number.POSITIVE_INFINITY, "+Inf"],
  ])("%p is %p", (value, text) => {
    expect(formatNumber(value)).toBe(text);
  });

  test("a number is read back as what it was", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(Number(formatNumber(value))).toBe(value === 0 ? 0 : value);
      }),
    );
  });

  test("a histogram's buckets grow, and the last one holds all", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 20, noNaN: true })), (values) => {
        const histogram = new Histogram();
        for (const value of values) histogram.observe(value);
        const buckets = histogram.samples().filter(({ suffix }) => suffix === "_bucket");
        for (const { labels, value } of buckets) {
          const bound = labels?.le === "+Inf" ? Number.POSITIVE_INFINITY : Number(labels?.le);
          expect(value).toBe(values.filter((one) => one <= bound).length);
        }
      }),
    );
  });
});
