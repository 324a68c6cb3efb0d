import { expect, test } from "bun:test";
import { monotonicNanos } from "./clock.ts";

test("the monotonic clock goes on, at the pace of the others", async () => {
  const [before, from] = [monotonicNanos(), performance.now()];
  await Bun.sleep(50);
  const [passed, ms] = [Number(monotonicNanos() - before) / 1e6, performance.now() - from];
  expect(Math.abs(passed - ms)).toBeLessThan(10);
});
