import { expect, test } from "bun:test";
import { ContainerEventResponse } from "@hull/api/gen/cri/v1/cri";
import { ContainerEvents } from "./index.ts";

const event = (containerId: string) => ContainerEventResponse.fromPartial({ containerId });

async function take(events: AsyncIterable<ContainerEventResponse>, count: number): Promise<string[]> {
  const ids: string[] = [];
  for await (const { containerId } of events) if (ids.push(containerId) === count) break;
  return ids;
}

test("every subscriber gets what happens, in order", async () => {
  using events = new ContainerEvents();
  const signal = new AbortController().signal;
  const [one, two] = [events.subscribe(signal), events.subscribe(signal)];
  for (const id of ["a", "b", "c"]) events.send(event(id));
  expect(await Promise.all([take(one, 3), take(two, 3)])).toEqual([
    ["a", "b", "c"],
    ["a", "b", "c"],
  ]);
});

test("what happens without a subscriber waits for the first, and then no longer", async () => {
  using events = new ContainerEvents({ keptMs: 30 });
  events.send(event("a"));
  expect(await take(events.subscribe(new AbortController().signal), 1)).toEqual(["a"]);
  events.send(event("b"));
  await Bun.sleep(90);
  expect(events.dropped).toBe(1);
  events.send(event("c"));
  expect(await take(events.subscribe(new AbortController().signal), 1)).toEqual(["c"]);
});

test("a subscription ends with its signal, and with the service", async () => {
  const events = new ContainerEvents();
  const ending = new AbortController();
  const all = Promise.all([
    take(events.subscribe(ending.signal), 9),
    take(events.subscribe(new AbortController().signal), 9),
  ]);
  events.send(event("a"));
  ending.abort();
  events.send(event("b"));
  events[Symbol.dispose]();
  expect(await all).toEqual([["a"], ["a", "b"]]);
});
