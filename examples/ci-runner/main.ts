/**
 * `node main.ts REPOSITORY [ARTIFACTS]`: runs the pipeline of the repository's `ci.ts`, and ends with 0 if all steps have passed. With
 * HULL_ENGINE_ROOT it has an engine of its own there, else it goes to the daemon.
 */
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { connect, type Hull } from "@hull/client";
import type { Pipeline } from "./pipeline.ts";
import { runPipeline } from "./runner.ts";

const [repository = ".", artifacts = "artifacts"] = process.argv.slice(2).map((path) => resolve(path));

async function open(): Promise<Hull> {
  const root = process.env.HULL_ENGINE_ROOT;
  if (root === undefined) return await connect();
  const { Engine } = await import("@hull/embed");
  return await Engine.open({ root, containers: "end" });
}

const interrupted = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => interrupted.abort());

const { default: pipeline } = (await import(pathToFileURL(join(resolve(repository), "ci.ts")).href)) as {
  default: Pipeline;
};
const width = Math.max(...Object.keys(pipeline.steps).map((name) => name.length));
await using hull = await open();
const results = await runPipeline(hull, pipeline, {
  repository: resolve(repository),
  artifacts: resolve(artifacts),
  onLine: (source, line) => console.log(`${source.padEnd(width)} | ${line}`),
  signal: interrupted.signal,
});

console.log();
for (const [name, { outcome, ms, reason }] of Object.entries(results))
  console.log(
    `${name.padEnd(width)}   ${outcome}${outcome === "skipped" ? "" : ` in ${(ms / 1000).toFixed(1)} s`}${reason === undefined ? "" : `: ${reason}`}`,
  );
process.exitCode = Object.values(results).every(({ outcome }) => outcome === "passed") ? 0 : 1;
