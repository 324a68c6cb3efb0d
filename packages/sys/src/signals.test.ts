import { expect, test } from "bun:test";
import { constants } from "node:os";
import { signals } from "./signals.ts";

test("the signals have the numbers that Node knows them by", () => {
  for (const [name, number] of signals) {
    expect([name, Reflect.get(constants.signals, name)]).toEqual([name, number]);
  }
});
