/** Much through exec, attach and port-forward: nothing is lost, and clients that are slow or gone cost nobody anything. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { SpdyClient } from "../../packages/cri/src/streaming/testing.ts";
import { noPods } from "../support/cri.ts";
import { patternChecksum } from "../support/mover/index.ts";
import { ways } from "../support/mover/ways.ts";
import { contentOf, processesOf } from "../support/processes.ts";
import { StreamsPlace, until } from "./streams-place.ts";

setDefaultTimeout(120_000);

const MiB = 2 ** 20;
const bytes = 32 * MiB;
const whole = { bytes, checksum: patternChecksum(bytes) };
const skipped = noPods === undefined ? "" : ` (skipped: ${noPods})`;

describe.skipIf(noPods !== undefined)(`much through streams${skipped}`, () => {
  let place: StreamsPlace;

  beforeAll(async () => {
    place = await StreamsPlace.start(bytes);
  });
  afterAll(() => place?.[Symbol.asyncDispose]());

  const cases = ways.flatMap((way) => (["spdy", "websocket"] as const).map((protocol) => ({ ...way, protocol })));
  test.each(cases)("$name, by $protocol", async ({ move, protocol }) => {
    const { came } = await move(place.node, protocol);
    expect({ bytes: came.bytes, checksum: came.checksum }).toEqual(whole);
  });

  /** A client of a command whose output it doesn't read. */
  async function deaf(script: string): Promise<SpdyClient> {
    const { client } = await place.exec(script);
    client.link.pause();
    return client;
  }

  /** Commands that run in the pod's container. */
  const running = (script: string): number[] =>
    processesOf(place.daemon).filter((pid) => contentOf(`/proc/${pid}/cmdline`).includes(script));

  test("clients that don't read hold up their commands, not memory or others", async () => {
    const before = place.memory();
    const clients = await Promise.all(Array.from({ length: 16 }, () => deaf("yes deaf")));
    await until("commands run", () => running("deaf").length >= clients.length);
    const { came } = (await ways.find(({ name }) => name === "exec, in and out")?.move(place.node, "spdy")) ?? {};
    expect(came).toMatchObject(whole);
    expect(place.memory() - before).toBeLessThan(96);
    for (const client of clients) client.close();
    // Their next write fails them, or finds nobody who reads: it is the container's end that ends these.
    await place.node.endCommands();
    await until("commands end", () => running("deaf").length === 0);
  });

  test("nothing is left of 200 clients that vanish while bytes flow both ways", async () => {
    const vanish = async (): Promise<void> => {
      const client = await deaf("head -c 200000 /dev/zero; cat >/dev/null");
      // What has come and wasn't read makes the end a reset.
      client.close();
    };
    await vanish();
    await until("the first ends", () => running("head -c 200000").length === 0);
    const [filesBefore, before] = [place.descriptors().daemon, place.memory()];
    for (let round = 0; round < 20; round++) await Promise.all(Array.from({ length: 10 }, vanish));
    await until("commands end", () => running("head -c 200000").length === 0);
    await until("descriptors are closed", () => place.descriptors().daemon <= filesBefore + 2);
    expect(place.memory() - before).toBeLessThan(64);
    const { came } = (await ways.find(({ name }) => name === "exec, out")?.move(place.node, "spdy")) ?? {};
    expect(came).toMatchObject(whole);
  });
});
