/** The log of events through the daemon: what a subscriber missed, over restarts and a killed daemon. */
import { expect, test } from "bun:test";
import { NamespacesDefinition } from "@hull/api/gen/containerd/services/namespaces/v1/namespaces";
import { connect } from "@hull/client/client";
import { events } from "@hull/client/events";
import { placeIn, startDaemon } from "../daemon/fixture.ts";
import { hullCommand } from "../support/hull.ts";
import { runTypedTo } from "../support/process.ts";
import { scratch } from "../support/scratch.ts";

const needsRoot = process.getuid?.() === 0 ? "" : " (skipped: needs root)";

test.skipIf(needsRoot !== "")(`a subscriber gets what it missed, also after kill -9${needsRoot}`, async () => {
  using folder = scratch();
  const place = placeIn(folder.path);
  const create = async (...names: string[]): Promise<void> => {
    await using client = await connect({ address: place.address });
    for (const name of names) await client.service(NamespacesDefinition).create({ namespace: { name, labels: {} } });
  };
  /** The next `count` events behind a number. */
  const take = async (
    count: number,
    since: number | string,
  ): Promise<{ sequence: number | undefined; in: string }[]> => {
    await using client = await connect({ address: place.address });
    const taken = [];
    for await (const { sequence, namespace } of events(client, { since, filters: ['topic=="/namespaces/create"'] })) {
      taken.push({ sequence, in: namespace });
      if (taken.length === count) break;
    }
    return taken;
  };
  {
    const daemon = await startDaemon(place);
    await create("a", "b");
    await daemon.stop("SIGKILL");
  }
  {
    const daemon = await startDaemon(place);
    await create("c");
    await daemon.stop();
  }
  await using daemon = await startDaemon(place);
  const missed = await take(3, 0);
  expect(missed.map((event) => event.in)).toEqual(["a", "b", "c"]);
  const [, second] = missed;
  const later = take(2, second?.sequence ?? 0);
  await create("d");
  expect((await later).map((event) => event.in)).toEqual(["c", "d"]);
  expect((await take(1, "2020-01-01T00:00:00Z"))[0]?.in).toBe("a");
  const shown = await runTypedTo([...hullCommand, "ctr", "--address", place.address, "events", "--since", "0"], {
    when: / d \/namespaces\/create [^\n]*\n/,
    type: "\x03",
    terminal: true,
  });
  expect(shown.stdout).toMatch(/^1 \d{4}-\S+ \S+ \+0000 UTC a \/namespaces\/create \{"name":"a"\}\r?\n/);
  await using client = await connect({ address: place.address });
  const beyond = events(client, { since: 10 ** 9 }).next();
  const refusal = await beyond.catch((error: unknown) => error);
  expect(refusal).toMatchObject({
    code: "outOfRange",
    message: expect.stringContaining("there was no event 1000000000"),
  });
  const nonsense = await events(client, { since: "x" })
    .next()
    .catch((error: unknown) => error);
  expect(nonsense).toMatchObject({ code: "invalidArgument" });
  expect(daemon.log()).not.toContain("level=error");
});
