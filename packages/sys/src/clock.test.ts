import { expect, test } from "bun:test";
import { monotonicNanos } from "./clock.ts";

test("the monotonic clock goes on, at the pace of the others", async () => {
  const around = (): [earliest: number, nanos: bigint, latest: number] => [
    performance.now(),
    monotonicNanos(),
    performance.now(),
  ];
  const [first, second] = [around(), await Bun.sleep(50).then(around)];
  const passed = Number(second[1] - first[1]) / 1e6;
  // However long this process had to wait amid a reading.
  expect(passed).toBeGreaterThan(second[0] - first[2] - 1);
  expect(passed).toBeLessThan(second[2] - first[0] + 1);
});
