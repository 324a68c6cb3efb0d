import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { IdIndex } from "./id-index.ts";
import { newId, Store } from "./index.ts";

const store = () => new Store<{ id: string; name: string }>("container");

describe("a store", () => {
  test("finds by id and by the beginning of one", () => {
    const values = store();
    values.add({ id: "abcd1", name: "one" });
    values.add({ id: "abce2", name: "two" });
    expect(values.get("abcd1").name).toBe("one");
    expect(values.get("abce").name).toBe("two");
    expect(() => values.get("abc")).toThrow("multiple IDs found with provided prefix: abc");
    expect(() => values.get("")).toThrow("prefix can't be empty");
    expect(() => values.get("x")).toThrow('an error occurred when try to find container "x"');
    expect(values.resolve("abc")).toBe("abc");
    expect(values.resolve("abcd")).toBe("abcd1");
    values.remove("abcd1");
    expect(values.get("a").name).toBe("two");
  });

  test("keeps a name for one id until it is released", () => {
    const values = store();
    values.reserveName("n", "1");
    values.reserveName("n", "1");
    expect(() => values.reserveName("n", "2")).toThrow('name "n" is reserved for "1"');
    values.releaseName("n", "2");
    expect(() => values.reserveName("n", "2")).toThrow();
    values.releaseName("n", "1");
    values.reserveName("n", "2");
  });

  test("runs what is locked by one id one after the other", async () => {
    const values = store();
    const order: number[] = [];
    const first = values.locked("1", async () => {
      await Promise.resolve();
      order.push(1);
    });
    await Promise.all([first, values.locked("1", async () => void order.push(2))]);
    expect(order).toEqual([1, 2]);
  });
});

test("the index of ids finds what a look at all of them would", () => {
  const id = fc.stringMatching(/^[ab]{1,6}$/);
  fc.assert(
    fc.property(fc.uniqueArray(id), fc.array(id), id, (ids, removed, prefix) => {
      const index = new IdIndex();
      for (const added of ids) index.add(added);
      for (const gone of removed) index.remove(gone);
      const left = ids.filter((one) => !removed.includes(one) && one.startsWith(prefix));
      if (left.length > 1) expect(() => index.resolve(prefix)).toThrow();
      else expect(index.resolve(prefix)).toBe(left[0]);
    }),
  );
});

test("ids are 64 hexadecimal digits", () => expect(newId()).toMatch(/^[0-9a-f]{64}$/));
