import { expect, test } from "bun:test";
import { Gate } from "./gate.ts";

test("who wants to be alone waits for those who pass, and holds up those who come later", async () => {
  const gate = new Gate();
  const order: string[] = [];
  const step =
    (name: string, work: Promise<unknown> = Promise.resolve()) =>
    async () => {
      order.push(`${name} in`);
      await work;
      order.push(`${name} out`);
    };
  const first = Promise.withResolvers<void>();
  const all = [gate.shared(step("a", first.promise)), gate.shared(step("b", first.promise))];
  await Bun.sleep(0);
  all.push(gate.exclusive(step("x")), gate.shared(step("c")), gate.exclusive(step("y")), gate.shared(step("d")));
  await Bun.sleep(0);
  expect(order).toEqual(["a in", "b in"]);
  first.resolve();
  await Promise.all(all);
  expect(order.slice(2, 6)).toEqual(["a out", "b out", "x in", "x out"]);
  const alone = ["x", "y"].map((name) => [order.indexOf(`${name} in`), order.indexOf(`${name} out`)]);
  for (const [from = 0, to = 0] of alone) expect(to - from).toBe(1);
});

test("an error ends the turn", async () => {
  const gate = new Gate();
  const fail = () => Promise.reject(new Error("no"));
  await expect(gate.exclusive(fail)).rejects.toThrow("no");
  await expect(gate.shared(fail)).rejects.toThrow("no");
  expect(await gate.exclusive(async () => 1)).toBe(1);
});
