/** The runner as it is started, under Node and Bun, on the demo and on pipelines that go wrong. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { node } from "../../test/support/node.ts";
import { runProgram } from "../../test/support/process.ts";
import { lacking, openPlace } from "../support.ts";
import { type Pipeline, pipeline } from "./pipeline.ts";
import { runPipeline } from "./runner.ts";

const runtimes = [
  { name: "Bun", command: process.execPath },
  { name: "Node", command: node },
].filter(({ command }) => command !== undefined);

test("a pipeline names steps that are there, in no circle", () => {
  const step = { image: "busybox", script: "true" };
  expect(() => pipeline({ steps: { a: { ...step, needs: ["b"] } } })).toThrow(
    'step "a" needs "b", which there is none of',
  );
  expect(() => pipeline({ steps: { a: { ...step, needs: ["b"] }, b: { ...step, needs: ["a"] } } })).toThrow(
    "steps need each other: a, b, a",
  );
});

const name = `a runner of pipelines${lacking === undefined ? "" : ` (skipped: ${lacking})`}`;
describe.if(lacking === undefined)(name, () => {
  for (const { name: runtime, command = "" } of runtimes)
    test(`builds and tests the demo under ${runtime}`, async () => {
      await using place = await openPlace();
      const artifacts = join(place.folder, "artifacts");
      const { status, stdout } = await runProgram(
        [command, join(import.meta.dir, "main.ts"), join(import.meta.dir, "demo"), artifacts],
        { env: { HULL_ADDRESS: place.address, NODE_NO_WARNINGS: "1" } },
      );
      const [log = "", summary = ""] = stdout.split("\n\n");
      for (const line of [
        "lint        | ok src/main.sh",
        "build       | built dist/greet",
        "test        | greets",
        "test-served | hello, served",
      ])
        expect(log.split("\n")).toContain(line);
      expect(
        summary
          .replaceAll(/\d+\.\d/g, "T")
          .trimEnd()
          .split("\n"),
      ).toEqual([
        "lint          passed in T s",
        "build         passed in T s",
        "test          passed in T s",
        "test-served   passed in T s",
        "package       passed in T s",
      ]);
      expect(status).toBe(0);
      expect(readdirSync(join(artifacts, "package"))).toEqual(["greet.tar.gz"]);
      expect(readFileSync(join(artifacts, "build/dist/greet"), "utf8")).toContain("greeting");
      expect(await place.hull.containers.list()).toEqual([]);
    });

  test("tells what fails, skips what needs it, and goes on with the rest", async () => {
    await using place = await openPlace();
    const repository = join(place.folder, "repository");
    mkdirSync(repository);
    writeFileSync(join(repository, "file"), "unchanged");
    symlinkSync("/etc/hostname", join(repository, "link"));
    const image = "busybox";
    const definition: Pipeline = {
      steps: {
        fails: { image, script: "false; echo not reached" },
        after: { image, needs: ["fails"], script: "echo not reached" },
        slow: { image, script: "trap '' TERM; sleep 100", timeout: 1 },
        other: { image, script: "echo changed >file; cat file" },
        nothing: { image, script: "true", artifacts: ["nothing"] },
        outside: { image, script: "ln -s /etc away", artifacts: ["away/hostname"] },
        "no image": { image: "localhost:1/none", script: "true" },
        "dead service": { image, services: { s: { image, command: ["false"], ready: ["false"] } }, script: "true" },
      },
    };
    const lines: string[] = [];
    const results = await runPipeline(place.hull, pipeline(definition), {
      repository,
      artifacts: join(place.folder, "artifacts"),
      onLine: (source, line) => lines.push(`${source}: ${line}`),
    });
    const { "no image": noImage, "dead service": dead, ...rest } = results;
    expect(Object.fromEntries(Object.entries(rest).map(([step, { ms: _, ...result }]) => [step, result]))).toEqual({
      fails: { outcome: "failed", reason: "ended with status 1" },
      after: { outcome: "skipped" },
      slow: { outcome: "timeout", reason: "took longer than 1 s" },
      other: { outcome: "passed" },
      nothing: { outcome: "failed", reason: 'artifact "nothing" has not been made' },
      outside: { outcome: "failed", reason: 'artifact "away/hostname" lies outside of /src' },
    });
    expect([noImage?.outcome, dead?.outcome]).toEqual(["failed", "failed"]);
    expect(lines).toEqual(["other: changed"]);
    expect(readFileSync(join(repository, "file"), "utf8")).toBe("unchanged");
    expect(await place.hull.containers.list()).toEqual([]);
  });
});
