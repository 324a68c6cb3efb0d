import { afterAll, describe, expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { LocalEventExchange } from "../events/exchange.ts";
import { silent } from "../log.ts";
import type { LoggedEvent, Since } from "./index.ts";
import { FileEventLog } from "./log.ts";
import { decodeRecords, encodeRecord } from "./record.ts";
import { parseSince } from "./since.ts";

const base = mkdtempSync(join(tmpdir(), "hull-event-log-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));
let number = 0;

/** An exchange with a log in a directory of its own, or in that of an earlier one. */
function open({ directory = join(base, String(++number)), maxEvents = 1000, maxBytes = 1 << 20 } = {}) {
  const events = new LocalEventExchange();
  const log = new FileEventLog({ directory, maxEvents, maxBytes, events, log: silent });
  const publish = (topic: string, namespace = "default"): void =>
    events.publish({ namespace }, topic, { typeUrl: "t/x", value: new Uint8Array(20) });
  return { directory, events, log, publish, [Symbol.dispose]: () => log[Symbol.dispose]() };
}

const never = new AbortController().signal;

/** The events that are there, up to the first of a topic. */
async function kept(
  log: FileEventLog,
  last: string,
  since: Since = { after: 0 },
  filters: string[] = [],
): Promise<LoggedEvent[]> {
  const found: LoggedEvent[] = [];
  for await (const event of log.subscribe(filters, since, never)) {
    found.push(event);
    if (event.topic === last) break;
  }
  return found;
}

const topics = (events: LoggedEvent[]): string[] => events.map(({ topic }) => topic);

describe("the event log", () => {
  test("gives what was missed, then what comes, without a gap or a double", async () => {
    using at = open();
    at.publish("/a");
    at.publish("/b");
    const events = at.log.subscribe([], { after: 1 }, never)[Symbol.asyncIterator]();
    at.publish("/c");
    const seen = [await events.next(), await events.next()];
    at.publish("/d");
    seen.push(await events.next());
    expect(seen.map(({ value }) => [value.sequence, value.topic])).toEqual([
      [2, "/b"],
      [3, "/c"],
      [4, "/d"],
    ]);
    await events.return?.();
  });

  test("filters what was missed as what comes, and knows times", async () => {
    using at = open();
    at.publish("/a", "one");
    at.publish("/b", "two");
    expect(topics(await kept(at.log, "/b", { after: 0 }, ["namespace==two"]))).toEqual(["/b"]);
    await Bun.sleep(2);
    const time = BigInt(Date.now()) * 1_000_000n;
    await Bun.sleep(2);
    at.publish("/c");
    expect(topics(await kept(at.log, "/c", { time }))).toEqual(["/c"]);
    expect(() => at.log.subscribe(["x=="], { after: 0 }, never)).toThrow("filters: parse error");
  });

  test("survives a restart, also one without an end; numbers are never given twice", async () => {
    const first = open();
    for (const topic of ["/a", "/b"]) first.publish(topic);
    // What a killed process leaves: everything up to its last step of work.
    await Promise.resolve();
    using second = open({ directory: first.directory });
    second.publish("/c");
    const events = await kept(second.log, "/c");
    expect(topics(events)).toEqual(["/a", "/b", "/c"]);
    expect(events[2]?.sequence).toBeGreaterThan(3);
    // A subscriber that saw an event which the crash lost still gets those that came later.
    expect(topics(await kept(second.log, "/c", { after: 3 }))).toEqual(["/c"]);
    first[Symbol.dispose]();
  });

  test("an end that was torn off is cut, and what follows can be read", async () => {
    for (const damage of ["truncate", "garbage"] as const) {
      const first = open();
      for (const topic of ["/a", "/b"]) first.publish(topic);
      first[Symbol.dispose]();
      const [name = ""] = readdirSync(first.directory);
      const file = join(first.directory, name);
      if (damage === "truncate") truncateSync(file, statSync(file).size - 3);
      else appendFileSync(file, "garbage that is no record");
      using second = open({ directory: first.directory });
      second.publish("/c");
      expect(topics(await kept(second.log, "/c"))).toEqual(damage === "truncate" ? ["/a", "/c"] : ["/a", "/b", "/c"]);
    }
  });

  test("keeps no more than it may, by count and by bytes, and says what is gone", async () => {
    for (const bounds of [{ maxEvents: 80 }, { maxBytes: 80 * 60 }]) {
      const at = open(bounds);
      for (let index = 1; index <= 500; index++) {
        at.publish(`/e/${index}`);
        if (index % 3 === 0) await Promise.resolve();
      }
      const events = await kept(at.log, "/e/500");
      expect(events.length).toBeLessThanOrEqual(80);
      expect(events.length).toBeGreaterThan(50);
      expect(events.at(-1)?.topic).toBe("/e/500");
      expect(() => at.log.subscribe([], { after: 10 }, never)).toThrow("events since 10 are not all kept any more");
      expect(() => at.log.subscribe([], { after: 501 }, never)).toThrow(
        "there was no event 501 yet: the next one is 501",
      );
      at[Symbol.dispose]();
      using again = open({ ...bounds, directory: at.directory });
      expect((await kept(again.log, "/e/500")).map(({ sequence }) => sequence)).toEqual(
        events.map(({ sequence }) => sequence),
      );
    }
  });

  test("an abort ends the loop", async () => {
    using at = open();
    at.publish("/a");
    const abort = new AbortController();
    const events = at.log.subscribe([], { after: 0 }, abort.signal)[Symbol.asyncIterator]();
    await events.next();
    const end = events.next();
    abort.abort();
    expect((await end).done).toBe(true);
  });

  test("places in the log are numbers or times", () => {
    expect(parseSince("12")).toEqual({ after: 12 });
    expect(parseSince("1970-01-01T00:00:01Z")).toEqual({ time: 1_000_000_000n });
    expect(() => parseSince("yesterday")).toThrow('"yesterday" is no place in the event log');
  });
});

describe("records", () => {
  const event = fc.record({
    sequence: fc.nat(),
    timestamp: fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n }),
    namespace: fc.string({ unit: "grapheme" }),
    topic: fc.string(),
    event: fc.record({ typeUrl: fc.string(), value: fc.uint8Array() }),
  });

  test("are read as they were written, up to where the bytes end", () => {
    fc.assert(
      fc.property(fc.array(event), fc.nat(200), (events, cut) => {
        const bytes = Buffer.concat(events.map(encodeRecord));
        expect(Array.from(decodeRecords(bytes), (record) => record.event)).toEqual(events);
        const whole = [...decodeRecords(bytes.subarray(0, Math.max(0, bytes.length - cut)))];
        expect(whole.map((record) => record.event)).toEqual(events.slice(0, whole.length));
      }),
    );
  });

  test("no bytes make reading throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), event, fc.nat(), fc.nat(255), (bytes, good, place, flip) => {
        for (const _ of decodeRecords(bytes));
        const changed = encodeRecord(good);
        changed[place % changed.length] = flip;
        for (const record of decodeRecords(changed)) expect(record.event).toEqual(good);
      }),
    );
  });
});
