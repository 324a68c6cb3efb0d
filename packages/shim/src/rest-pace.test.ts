import { describe, expect, test } from "bun:test";
import { RestPace } from "./rest-pace.ts";

/** How often a shim rests in an hour in which it is asked every so many milliseconds. */
function restsWhenAskedEvery(intervalMs: number): number {
  const pace = new RestPace();
  let rests = 0;
  for (let now = 0; now < 3_600_000; now += intervalMs) {
    const wait = pace.work(now);
    if (wait >= intervalMs) continue;
    pace.rest(now + wait);
    rests++;
  }
  return rests;
}

describe("a shim", () => {
  test("rests a second after its last work", () => {
    const pace = new RestPace();
    expect(pace.work(0)).toBe(1000);
    expect(pace.work(900)).toBe(1000);
  });

  test("waits longer where rests are soon disturbed, and no longer after one that was not", () => {
    const pace = new RestPace();
    pace.work(0);
    pace.rest(1000);
    expect(pace.work(2000)).toBe(2000);
    expect(pace.work(2500)).toBe(2000);
    pace.rest(4500);
    expect(pace.work(5000)).toBe(4000);
    pace.rest(9000);
    expect(pace.work(9000 + 16 * 4000)).toBe(1000);
  });

  test("that is asked every ten seconds soon rests no more; one asked every two minutes does each time", () => {
    expect(restsWhenAskedEvery(500)).toBe(0);
    expect(restsWhenAskedEvery(10_000)).toBeLessThan(6);
    expect(restsWhenAskedEvery(120_000)).toBe(30);
  });
});
