import { afterAll, describe, expect, test } from "bun:test";
import { fuzz } from "./fuzz.ts";
import { removeScratch, targets } from "./targets.ts";

describe("foreign bytes are taken or refused", () => {
  afterAll(removeScratch);
  for (const target of targets) {
    test(target.name, async () => {
      for (const sample of target.samples) await target.parse(sample);
      // The same on each machine: what is new is for `npm run fuzz` to find.
      const { tried, findings } = await fuzz(target, { milliseconds: 5000, inputs: 1000, seed: 20_260_101 });
      expect(findings.map(({ problem, input }) => ({ problem, input: Buffer.from(input).toString("base64") }))).toEqual(
        [],
      );
      expect(tried).toBeGreaterThan(0);
    });
  }
});
