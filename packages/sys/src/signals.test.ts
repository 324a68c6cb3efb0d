import { expect, test } from "bun:test";
import { constants } from "node:os";
import { signalOf, signals } from "./signals.ts";

test("the signals have the numbers that Node knows them by", () => {
  for (const [name, number] of signals) {
    expect([name, Reflect.get(constants.signals, name)]).toEqual([name, number]);
  }
});

test("signals are known by name, number and distance from the first and last real-time one", () => {
  const known = { SIGTERM: 15, term: 15, KILL: 9, "9": 9, "64": 64, "SIGRTMIN+3": 37, "RTMAX-2": 62, rtmin: 34 };
  for (const [text, number] of Object.entries(known)) expect([text, signalOf(text)]).toEqual([text, number]);
  for (const text of ["", "0", "65", "SIGNONE", "RTMIN-1", "RTMAX+1", "RTMIN+99"])
    expect(signalOf(text)).toBeUndefined();
});
