/** The pipeline as it is started, under Node and Bun, and its stages alone. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { node } from "../../test/support/node.ts";
import { startServer } from "../../test/support/process.ts";
import { lacking, openPlace } from "../support.ts";
import { alerting, type Happening, type Standing, summarizing } from "./pipeline.ts";

const runtimes = [
  { name: "Bun", command: process.execPath },
  { name: "Node", command: node },
].filter(({ command }) => command !== undefined);

const at = (second: number): Date => new Date(second * 1000);

async function* of<T>(...values: T[]): AsyncGenerator<T, void> {
  yield* values;
}

test("tells of a service at most once a minute, and passes all on", async () => {
  const happenings: Happening[] = [10, 20, 69, 70].map((second) => ({
    kind: "out of memory",
    service: "a",
    at: at(second),
  }));
  const alerts: string[] = [];
  expect(await Array.fromAsync(alerting(of(...happenings), (text) => alerts.push(text)))).toEqual(happenings);
  expect(alerts).toEqual(Array(2).fill('service "a" is out of memory'));
});

test("sums up", async () => {
  const standings = await Array.fromAsync(
    summarizing(
      of<Happening>(
        { kind: "started", service: "a", at: at(1) },
        { kind: "started", service: "b", at: at(1) },
        { kind: "out of memory", service: "a", at: at(2) },
        { kind: "ended", service: "a", at: at(3), code: 137, restartMs: 200 },
        { kind: "started", service: "a", at: at(4) },
      ),
    ),
  );
  expect(standings.at(-1)).toEqual({
    a: { starts: 2, outOfMemory: 1, lastCode: 137, lastEnd: at(3) },
    b: { starts: 1, outOfMemory: 0 },
  });
});

const name = `a pipeline over events${lacking === undefined ? "" : ` (skipped: ${lacking})`}`;
describe.if(lacking === undefined)(name, () => {
  for (const { name: runtime, command = "" } of runtimes)
    test(`restarts, alerts and sums up under ${runtime}, and takes all away`, async () => {
      await using place = await openPlace();
      const services = join(place.folder, "services.json");
      const summary = join(place.folder, "summary.json");
      const image = "busybox";
      writeFileSync(
        services,
        JSON.stringify({
          short: { image, command: ["sh", "-c", "exit 4"] },
          steady: { image, command: ["sleep", "1000"] },
          greedy: { image, command: ["sh", "-c", "x=a; while :; do x=$x$x; done"], memory: 16 << 20 },
        }),
      );
      await using server = await startServer(
        [command, join(import.meta.dir, "main.ts"), services, summary],
        /ALERT service "greedy" is out of memory/,
        { env: { HULL_ADDRESS: place.address, NODE_NO_WARNINGS: "1" } },
      );
      const read = (): Record<string, Standing> =>
        existsSync(summary) ? JSON.parse(readFileSync(summary, "utf8")) : {};
      const done = ({ short, steady, greedy }: Record<string, Standing>): boolean =>
        (short?.starts ?? 0) >= 3 && short?.lastCode === 4 && steady?.starts === 1 && (greedy?.outOfMemory ?? 0) >= 1;
      for (const end = Date.now() + 30_000; !done(read()) && Date.now() < end; ) await Bun.sleep(50);
      expect(read()).toMatchObject({ short: { lastCode: 4, outOfMemory: 0 }, steady: { starts: 1, outOfMemory: 0 } });
      expect(done(read())).toBe(true);
      expect(await server.stop()).toBe(0);
      expect(await place.hull.containers.list()).toEqual([]);
    });
});
