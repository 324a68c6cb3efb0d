import { describe, expect, test } from "bun:test";
import { CollectionScheduler, type SchedulerOptions } from "./scheduler.ts";

/** A scheduler whose runs are counted; `ran(n)` resolves with the n-th. */
function scheduled(options: Partial<SchedulerOptions>, busyMs = 1) {
  let runs = 0;
  let wake = () => {};
  const scheduler = new CollectionScheduler(options, async () => {
    scheduler.began();
    runs++;
    wake();
    return busyMs;
  });
  const ran = async (count: number) => {
    while (runs < count) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    // Lets the run end.
    await Promise.resolve();
    return performance.now();
  };
  return { scheduler, ran, runs: () => runs, [Symbol.dispose]: () => scheduler.close() };
}

describe("the schedule of collections", () => {
  test("first after the start, then after a deletion, no more often than allowed", async () => {
    using it = scheduled({ startupDelay: 1, pauseThreshold: 0.1 }, 5);
    const first = await it.ran(1);
    it.scheduler.changed("deletion");
    it.scheduler.changed("deletion");
    // 5 ms of work are a tenth of 50 ms.
    expect((await it.ran(2)) - first).toBeGreaterThan(40);
    expect(it.runs()).toBe(2);
  });

  test("enough changes count as well", async () => {
    using it = scheduled({ startupDelay: 1, pauseThreshold: 0.5, mutationThreshold: 3 });
    await it.ran(1);
    it.scheduler.changed("mutation");
    it.scheduler.changed("mutation");
    await Bun.sleep(20);
    expect(it.runs()).toBe(1);
    it.scheduler.changed("mutation");
    await it.ran(2);
  });

  test("enough deletions hurry it", async () => {
    using it = scheduled({ startupDelay: 1, pauseThreshold: 0.001, deletionThreshold: 2 }, 1000);
    await it.ran(1);
    it.scheduler.changed("deletion");
    await Bun.sleep(20);
    expect(it.runs()).toBe(1);
    it.scheduler.changed("deletion");
    await it.ran(2);
  });

  test("one run serves all deletions of a while, unless its share of time has no limit", async () => {
    using limited = scheduled({ startupDelay: 1, pauseThreshold: 0.5 });
    using free = scheduled({ startupDelay: 1, pauseThreshold: 0 });
    const first = await limited.ran(1);
    limited.scheduler.changed("deletion");
    expect((await limited.ran(2)) - first).toBeGreaterThan(200);
    await free.ran(1);
    const waits: number[] = [];
    for (let count = 2; count < 7; count++) {
      const start = performance.now();
      free.scheduler.changed("deletion");
      waits.push((await free.ran(count)) - start);
    }
    // On a machine that has other work one of them may have to wait.
    expect(Math.min(...waits)).toBeLessThan(200);
  });

  test("a closed one runs nothing", async () => {
    const it = scheduled({ startupDelay: 5 });
    it.scheduler.close();
    it.scheduler.changed("deletion");
    await Bun.sleep(20);
    expect(it.runs()).toBe(0);
  });
});
