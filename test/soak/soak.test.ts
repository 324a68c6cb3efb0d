import { describe, expect, test } from "bun:test";
import { plot } from "./plot.ts";
import { growth, soak } from "./soak.ts";

const skipped = process.getuid?.() === 0 ? undefined : "needs root";

describe.skipIf(skipped !== undefined)(`a short soak${skipped === undefined ? "" : ` (skipped: ${skipped})`}`, () => {
  test("ends every life right, with the descriptors and memory of its beginning", async () => {
    const report = await soak({ lives: 100, workers: 4, subscribers: 40, interval: 250 });
    expect(report.wrongStatus).toBe(0);
    expect(report.exitsSeen).toBe(100);
    expect(report.pulls).toBeGreaterThan(0);
    expect(report.collections).toBeGreaterThan(0);
    expect(growth(report.figures, "daemonRss")).toBeLessThan(40);
    const [first, last] = [report.figures[0], report.figures.at(-1)];
    // At rest nothing of the clients, pulls and containers is open any more, but for a spare shim or two.
    expect((last?.daemonDescriptors ?? 0) - (first?.daemonDescriptors ?? 0)).toBeLessThan(15);
    expect(plot(report.figures)).toContain("100 lives");
  }, 120_000);
});
