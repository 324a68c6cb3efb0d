import { describe, expect, test } from "bun:test";
import { nowNanos } from "@hull/api/timestamp";
import { packAny } from "@hull/api/typeurl";
import { LocalEventExchange } from "./exchange.ts";
import type { EventEnvelope } from "./index.ts";

const never = new AbortController().signal;
const anything = { typeUrl: "test/x", value: new Uint8Array([1]) };
const ctx = { namespace: "default" };

async function take(events: AsyncIterator<EventEnvelope>, count: number): Promise<string[]> {
  const topics: string[] = [];
  while (topics.length < count) topics.push((await events.next()).value?.topic ?? "end");
  return topics;
}

describe("the event exchange", () => {
  test("gives what comes after subscribing, in order, also before the first read", async () => {
    const exchange = new LocalEventExchange();
    exchange.publish(ctx, "/before", anything);
    const events = exchange.subscribe([], never);
    exchange.publish(ctx, "/a", anything);
    exchange.publish({ namespace: "other" }, "/b", anything);
    expect(await take(events, 2)).toEqual(["/a", "/b"]);
    const waiting = take(events, 1);
    exchange.publish(ctx, "/c", anything);
    expect(await waiting).toEqual(["/c"]);
    const both = [events.next(), events.next()];
    exchange.publish(ctx, "/d", anything);
    exchange.publish(ctx, "/e", anything);
    expect((await Promise.all(both)).map(({ value }) => value?.topic).sort()).toEqual(["/d", "/e"]);
  });

  test("an abort ends the loop after what was queued, and a loop that is left unsubscribes", async () => {
    const exchange = new LocalEventExchange();
    const abort = new AbortController();
    const events = exchange.subscribe([], abort.signal);
    const idle = exchange.subscribe([], abort.signal);
    const end = idle.next();
    exchange.publish(ctx, "/a", anything);
    await end;
    const last = idle.next();
    abort.abort();
    expect((await last).done).toBe(true);
    expect(await take(events, 2)).toEqual(["/a", "end"]);
    expect(exchange.subscribers).toBe(0);
    for (const leave of [true, false]) {
      const loop = exchange.subscribe([], never);
      exchange.publish(ctx, "/a", anything);
      if (leave) for await (const _ of loop) break;
      else await loop[Symbol.asyncDispose]();
      expect(exchange.subscribers).toBe(0);
    }
    expect(await take(exchange.subscribe([], AbortSignal.abort()), 1)).toEqual(["end"]);
    expect(exchange.subscribers).toBe(0);
  });

  test("a subscriber that reads nothing is let go, and told so", async () => {
    const exchange = new LocalEventExchange();
    const subscription = exchange.subscribe([], new AbortController().signal);
    const event = { typeUrl: "t", value: new Uint8Array() };
    for (let n = 0; n < 100_001; n++) exchange.publish({ namespace: "default" }, "/tasks/start", event);
    expect(exchange.subscribers).toBe(0);
    const failed = subscription.next();
    await expect(failed).rejects.toMatchObject({ code: "resourceExhausted" });
    expect(await subscription.next()).toEqual({ done: true, value: undefined });
  });

  test("filters by topic, namespace and the payload's fields", async () => {
    const exchange = new LocalEventExchange();
    const byTopic = exchange.subscribe(["topic~=|^/tasks/|", "namespace==moby"], never);
    const byField = exchange.subscribe(['event.container_id=="c2"', "event.labels.a.b==x,event.name==i"], never);
    const nested = exchange.subscribe(["event.runtime.name==runc"], never);
    exchange.publish(ctx, "/images/create", anything);
    for (const id of ["c1", "c2"]) {
      exchange.publish(ctx, "/tasks/start", await packAny("containerd.events.TaskStart", { containerId: id, pid: 1 }));
    }
    const image = { name: "i", labels: { "a.b": "x" } };
    exchange.publish(ctx, "/images/create", await packAny("containerd.services.images.v1.ImageCreate", image));
    const container = { id: "c", runtime: { name: "runc" } };
    const created = await packAny("containerd.events.ContainerCreate", container);
    exchange.publish({ namespace: "moby" }, "/containers/create", created);
    // Bytes that aren't of their type have no fields, and stop nobody.
    exchange.publish(ctx, "/tasks/bad", { typeUrl: created.typeUrl, value: new Uint8Array([255]) });
    expect(await take(byTopic, 4)).toEqual(["/tasks/start", "/tasks/start", "/containers/create", "/tasks/bad"]);
    expect(await take(byField, 2)).toEqual(["/tasks/start", "/images/create"]);
    expect(await take(nested, 1)).toEqual(["/containers/create"]);
    expect(() => exchange.subscribe(["x=="], never)).toThrow("filters: parse error");
    expect(exchange.subscribers).toBe(3);
  });

  test.each([
    ["", 'envelope topic "": must not be empty'],
    ["abc", "envelope topic \"abc\": must start with '/'"],
    ["/", 'envelope topic "/": must have at least one component'],
    ["/a b", 'envelope topic "/a b": failed validation on component "a b": identifier "a b" must match'],
    ["/a/", 'envelope topic "/a/": failed validation on component "": identifier must not be empty'],
  ])("topic %p is refused", (topic, text) => {
    expect(() => new LocalEventExchange().publish(ctx, topic, anything)).toThrow(text);
  });

  test("a forwarded envelope is checked and passed on as it is", async () => {
    const exchange = new LocalEventExchange();
    const events = exchange.subscribe([], never);
    const envelope = { timestamp: 5n, namespace: "x", topic: "/a", event: anything };
    expect(() => exchange.forward({ ...envelope, namespace: "" })).toThrow("event envelope has invalid namespace");
    expect(() => exchange.forward({ ...envelope, topic: "a" })).toThrow("must start with");
    expect(() => exchange.forward({ ...envelope, timestamp: -62_135_596_800_000_000_000n })).toThrow("timestamp");
    expect(() => exchange.publish({ namespace: "" }, "/a", anything)).toThrow("namespace is required");
    exchange.forward(envelope);
    expect((await events.next()).value).toEqual(envelope);
  });

  test("who comes back to a daemon that was away gets what happened meanwhile, whenever that is told", async () => {
    const exchange = new LocalEventExchange();
    const early = exchange.subscribe([], never);
    const served = exchange.keepForReturning(50);
    exchange.publish(ctx, "/told/first", anything);
    const internal = exchange.subscribe([], never);
    const timestamp = nowNanos();
    served();
    exchange.publish(ctx, "/new", anything);
    exchange.forward({ timestamp, namespace: "default", topic: "/told/later", event: anything }, { late: true });
    exchange.forward({ timestamp, namespace: "default", topic: "/old", event: anything });
    expect(await take(exchange.subscribe([], never), 2)).toEqual(["/told/first", "/told/later"]);
    expect(await take(exchange.subscribe([`topic=="/told/later"`], never), 1)).toEqual(["/told/later"]);
    expect(await take(early, 4)).toEqual(["/told/first", "/new", "/told/later", "/old"]);
    expect(await take(internal, 3)).toEqual(["/new", "/told/later", "/old"]);
    await Bun.sleep(60);
    const late = exchange.subscribe([], never);
    exchange.publish(ctx, "/newer", anything);
    expect(await take(late, 1)).toEqual(["/newer"]);
  });
});
