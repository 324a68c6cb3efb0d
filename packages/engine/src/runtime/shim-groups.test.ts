import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Shim } from "./shim.ts";
import type { ShimConnection } from "./shim-connection.ts";
import { ShimGroups } from "./shim-groups.ts";
import type { Tenants } from "./shim-tenants.ts";
import { maximumUses } from "./spare-shims.ts";

/** Shims that are no processes. */
class FakeShims {
  readonly groups = new ShimGroups();
  readonly lose = new Map<Shim, () => void>();
  started = 0;
  /** Starts wait for it. */
  gate: Promise<void> = Promise.resolve();
  failures = 0;

  enter(bundle: string, group: string | undefined, { company = "c", most = 2 } = {}): Promise<Shim> {
    return this.groups.enter({ bundle, group, company: most > 1 ? company : undefined }, most, (tenants) =>
      this.#start(tenants),
    );
  }

  async #start(tenants: Tenants): Promise<Shim> {
    this.started++;
    await this.gate;
    if (this.failures > 0) {
      this.failures--;
      throw new Error("no process left");
    }
    return this.shim(tenants);
  }

  shim(tenants?: Tenants): Shim {
    const { promise, resolve } = Promise.withResolvers<void>();
    const connected = { connection: { closed: promise } } as unknown as ShimConnection;
    const shim = new Shim(connected, tenants === undefined ? {} : { tenants });
    this.lose.set(shim, resolve);
    return shim;
  }
}

describe("the shims of groups", () => {
  test("tasks of a group are in one, those of none each in its own", async () => {
    const shims = new FakeShims();
    const [a, b, c, d] = await Promise.all([
      shims.enter("a", "pod", { most: 1 }),
      shims.enter("b", "pod", { most: 1 }),
      shims.enter("c", undefined),
      shims.enter("d", undefined),
    ]);
    expect(a).toBe(b);
    expect(new Set([a, c, d]).size).toBe(3);
    expect(await shims.enter("e", "other", { most: 1 })).not.toBe(a);
  });

  test("groups that come side by side start as many as they need, while these are only being started", async () => {
    const shims = new FakeShims();
    const { promise, resolve } = Promise.withResolvers<void>();
    shims.gate = promise;
    const entering = Array.from({ length: 110 }, (_, pod) => [
      shims.enter(`${pod}/a`, `pod-${pod}`, { most: 3 }),
      shims.enter(`${pod}/b`, `pod-${pod}`, { most: 3 }),
    ]);
    resolve();
    const places = await Promise.all(entering.map((tasks) => Promise.all(tasks)));
    for (const [a, b] of places) expect(a).toBe(b as Shim);
    expect(shims.started).toBe(37);
    for (const shim of new Set(places.flat())) expect(shim.tenants.groupCount).toBeLessThanOrEqual(3);
  });

  test("the fullest with room is filled first, and only by its own company", async () => {
    const shims = new FakeShims();
    const of = (name: string, most = 3) => shims.enter(name, name, { most });
    const first = await of("a");
    await of("b");
    await of("c");
    const second = await of("d");
    expect(second).not.toBe(first);
    await of("e");
    shims.groups.leave(first.tenants, "a");
    shims.groups.leave(first.tenants, "b");
    expect(await of("f")).toBe(second);
    expect(await of("g")).toBe(first);
    expect(await shims.enter("h", "h", { most: 3, company: "other" })).not.toBe(first);
    // One that wants to be alone.
    expect(await of("i", 1)).not.toBe(first);
    expect(shims.started).toBe(4);
  });

  test("with its last task a group leaves, with the last group nobody enters", async () => {
    const shims = new FakeShims();
    const shim = await shims.enter("a", "pod");
    await shims.enter("b", "pod");
    await shims.enter("c", "other");
    expect(shims.groups.leave(shim.tenants, "a")).toBe(false);
    expect(await shims.enter("d", "pod")).toBe(shim);
    expect(shims.groups.leave(shim.tenants, "b")).toBe(false);
    expect(shims.groups.leave(shim.tenants, "d")).toBe(false);
    expect(await shims.enter("e", "third")).toBe(shim);
    expect(await shims.enter("f", "pod")).not.toBe(shim);
    expect(shims.groups.leave(shim.tenants, "e")).toBe(false);
    expect(shims.groups.leave(shim.tenants, "c")).toBe(true);
    // Once is enough.
    expect(shims.groups.leave(shim.tenants, "c")).toBe(false);
    expect(await shims.enter("g", "other")).not.toBe(shim);
  });

  test("whoever waits for another's shim, which can't be started, has one of its own", async () => {
    const shims = new FakeShims();
    shims.failures = 1;
    const results = await Promise.allSettled([shims.enter("a", "a"), shims.enter("b", "b"), shims.enter("c", "b")]);
    expect(results.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "fulfilled"]);
    expect(shims.started).toBe(2);
    const shim = await shims.enter("b", "b");
    expect(shim.tenants.groupCount).toBe(1);
    expect(shim.tenants.size).toBe(2);
    shims.failures = 9;
    const all = Array.from({ length: 4 }, (_, index) => shims.enter(`x${index}`, `x${index}`, { company: "other" }));
    expect((await Promise.allSettled(all)).map(({ status }) => status)).toEqual(Array(4).fill("rejected"));
  });

  test("a shim that has ended takes nobody", async () => {
    const shims = new FakeShims();
    const shim = await shims.enter("a", "a");
    shims.lose.get(shim)?.();
    await shim.lost;
    await Promise.resolve();
    expect(await shims.enter("b", "b")).not.toBe(shim);
    expect(await shims.enter("c", "a")).not.toBe(shim);
  });

  test("one of an earlier run has its groups, and room for more", async () => {
    const shims = new FakeShims();
    const shim = shims.shim();
    shims.groups.found(shim, { bundle: "a", group: "a", company: "c" });
    shims.groups.found(shim, { bundle: "b", group: "a", company: "c" });
    expect(await shims.enter("c", "a")).toBe(shim);
    expect(await shims.enter("d", "d")).toBe(shim);
    expect(await shims.enter("e", "e")).not.toBe(shim);
    const alone = shims.shim();
    shims.groups.found(alone, { bundle: "f", group: "f" });
    expect(await shims.enter("g", "f")).toBe(alone);
    expect(await shims.enter("h", "h", { most: 9 })).not.toBe(alone);
    // Tasks of a sandbox that another keeps.
    const other = shims.shim();
    shims.groups.found(other, { bundle: "i" });
    expect(shims.groups.leave(other.tenants, "i")).toBe(true);
  });

  test("one that has served many is left to those that it has", async () => {
    const shims = new FakeShims();
    const shim = await shims.enter("stays", "stays");
    for (let round = 1; round < maximumUses; round++) {
      expect(await shims.enter("comes", "comes")).toBe(shim);
      shims.groups.leave(shim.tenants, "comes");
    }
    expect(await shims.enter("comes", "comes")).not.toBe(shim);
    expect(await shims.enter("again", "stays")).toBe(shim);
  });

  test("whatever comes and goes, groups stay together, none too many are in one, and the last to leave is told", async () => {
    const step = fc.record({ pod: fc.nat(9), task: fc.nat(2), most: fc.integer({ min: 1, max: 3 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const shims = new FakeShims();
        const there = new Map<string, { group: string; shim: Shim }>();
        for (const { pod, task, most } of steps) {
          const [bundle, group] = [`${pod}/${task}`, `${pod}`];
          const known = there.get(bundle);
          if (known !== undefined) {
            there.delete(bundle);
            const others = [...there.values()].some(({ shim }) => shim === known.shim);
            expect(shims.groups.leave(known.shim.tenants, bundle)).toBe(!others);
            continue;
          }
          const before = [...there.values()].find((other) => other.group === group)?.shim;
          const shim = await shims.enter(bundle, group, { most });
          if (before !== undefined) expect(shim).toBe(before);
          else expect(shim.tenants.groupCount).toBeLessThanOrEqual(most);
          there.set(bundle, { group, shim });
        }
        for (const shim of new Set([...there.values()].map((one) => one.shim))) {
          const inside = [...there.values()].filter((one) => one.shim === shim);
          expect(shim.tenants.size).toBe(inside.length);
          expect(shim.tenants.groupCount).toBe(new Set(inside.map(({ group }) => group)).size);
        }
      }),
    );
  });
});
