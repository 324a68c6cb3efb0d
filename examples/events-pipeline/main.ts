/**
 * `node main.ts [SERVICES.json [SUMMARY.json]]`: keeps services running, says when one is out of memory, and keeps a summary in a file. Ends
 * with SIGINT or SIGTERM, and the services with it. With HULL_ENGINE_ROOT it has an engine of its own there, else it goes to the daemon.
 */
import { readFile, rename, writeFile } from "node:fs/promises";
import { connect, type Hull } from "@hull/client";
import { alerting, type Happening, summarizing, supervised, watch } from "./pipeline.ts";
import { type Service, Supervisor } from "./supervisor.ts";

const [services = new URL("services.json", import.meta.url), summary = "summary.json"] = process.argv.slice(2);

async function open(): Promise<Hull> {
  const root = process.env.HULL_ENGINE_ROOT;
  if (root === undefined) return await connect();
  const { Engine } = await import("@hull/embed");
  return await Engine.open({ root, containers: "end" });
}

async function* logged(happenings: AsyncIterable<Happening>): AsyncGenerator<Happening, void> {
  for await (const one of happenings) {
    const what = one.kind === "ended" ? `ended with ${one.code}, again in ${one.restartMs} ms` : one.kind;
    console.log(`${one.at.toISOString()} ${one.service} ${what}`);
    yield one;
  }
}

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => stop.abort());

await using hull = await open();
const definitions = JSON.parse(await readFile(services, "utf8")) as Readonly<Record<string, Service>>;
const events = await watch(hull, stop.signal);
await using supervisor = new Supervisor(hull, definitions, (service, error) =>
  console.error(`${service} can't be started: ${error instanceof Error ? error.message : error}`),
);
supervisor.start();
const alert = (text: string): void => console.error(`ALERT ${text}`);
try {
  for await (const standings of summarizing(alerting(logged(supervised(events, supervisor)), alert))) {
    // Whoever reads it finds it whole.
    await writeFile(`${summary}.new`, `${JSON.stringify(standings, undefined, 2)}\n`);
    await rename(`${summary}.new`, summary);
  }
} catch (error) {
  if (!stop.signal.aborted) throw error;
}
