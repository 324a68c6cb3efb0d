import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LinuxContainerResources } from "@hull/api/gen/cri/v1/cri";
import { newRun, readRun, writeRun } from "./run-file.ts";

let directory: string;
beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), "hull-run-")), "c1");
});
afterEach(() => rmSync(join(directory, ".."), { recursive: true, force: true }));

test("comes back as it was written, to the nanosecond", () => {
  const resources = LinuxContainerResources.fromPartial({ cpuShares: 2n, unified: { "memory.high": "5" } });
  const run = { ...newRun(1_800_000_000_123_456_789n, resources), startedAt: 5n, pid: 7, state: "running" as const };
  writeRun(directory, run);
  expect(readRun(directory)).toEqual(run);
  const over = { ...run, finishedAt: 9n, exitCode: 137, reason: "OOMKilled", state: "exited" as const };
  writeRun(directory, over);
  expect(readRun(directory)).toEqual(over);
});

test("is what containerd writes", () => {
  writeRun(directory, newRun(1_800_000_000_123_456_789n, LinuxContainerResources.fromPartial({ cpuShares: 2n })));
  expect(readFileSync(join(directory, "status"), "utf8")).toBe(
    '{"Version":"v1","Pid":0,"CreatedAt":1800000000123456789,"StartedAt":0,"FinishedAt":0,"ExitCode":0,"Reason":"","Message":"",' +
      '"Resources":{"linux":{"cpu_shares":2}}}',
  );
  writeFileSync(join(directory, "status"), '{"Version":"v2"}');
  expect(() => readRun(directory)).toThrow('has version "v2"');
});
