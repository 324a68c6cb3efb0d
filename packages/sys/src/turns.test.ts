import { expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import { Turns } from "./turns.ts";

test("who come together begin in their order, with other work between them", async () => {
  const turns = new Turns();
  const seen: string[] = [];
  let over = false;
  const other = (async () => {
    while (!over) {
      seen.push("other");
      await setImmediate();
    }
  })();
  const taken = ["a", "b", "c"].map(async (name) => {
    await turns.take();
    seen.push(name);
  });
  await Promise.all(taken);
  over = true;
  await other;
  expect(seen.filter((name) => name !== "other")).toEqual(["a", "b", "c"]);
  expect(seen.slice(seen.indexOf("a") + 1, seen.indexOf("b"))).toContain("other");
  expect(seen.slice(seen.indexOf("b") + 1, seen.indexOf("c"))).toContain("other");
});

test("who comes alone begins at once", async () => {
  const turns = new Turns();
  await turns.take();
  await setImmediate();
  await setImmediate();
  let began = false;
  const taking = turns.take().then(() => {
    began = true;
  });
  for (let microtasks = 0; microtasks < 8; microtasks++) await undefined;
  expect(began).toBe(true);
  await taking;
});
