/** How far containers are, in a file for each: `<root>/containers/<id>/status`, in containerd's form (internal/cri/store/container/status.go). */

import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LinuxContainerResources } from "@hull/api/gen/cri/v1/cri";
import { internal } from "@hull/errors";
import type { ContainerRun } from "../model.ts";
import { goJson, parseGoJson } from "../records/index.ts";

const version = "v1";

/** The status of a container that was just made. */
export const newRun = (createdAt: bigint, resources: LinuxContainerResources | undefined): ContainerRun => ({
  state: "created",
  createdAt,
  startedAt: 0n,
  finishedAt: 0n,
  pid: 0,
  exitCode: 0,
  reason: "",
  message: "",
  resources,
  starting: false,
  removing: false,
});

/**
 * Writes the file anew: whole, or not at all. It is not forced to the disk: after a loss of power no container runs, which is what a file
 * that is missing or old makes of it.
 */
export function writeRun(directory: string, run: ContainerRun): void {
  const { createdAt, startedAt, finishedAt, pid, exitCode, reason, message, resources } = run;
  const text = JSON.stringify({
    Version: version,
    Pid: pid,
    CreatedAt: goJson(createdAt),
    StartedAt: goJson(startedAt),
    FinishedAt: goJson(finishedAt),
    ExitCode: exitCode,
    Reason: reason,
    Message: message,
    Resources: resources === undefined ? null : { linux: goJson(resources) },
  });
  const file = join(directory, "status");
  try {
    writeFileSync(`${file}.new`, text, { mode: 0o600 });
  } catch {
    mkdirSync(directory, { recursive: true, mode: 0o755 });
    writeFileSync(`${file}.new`, text, { mode: 0o600 });
  }
  renameSync(`${file}.new`, file);
}

/** Reads it. @throws the file system's error; Internal for another version; SyntaxError */
export function readRun(directory: string): ContainerRun {
  const file = join(directory, "status");
  const fields = parseGoJson(readFileSync(file, "utf8"), new Set(["CreatedAt", "StartedAt", "FinishedAt"])) as Readonly<
    Record<string, unknown>
  >;
  if (fields.Version !== version)
    throw internal(`"${file}" has version ${JSON.stringify(fields.Version)}, not "${version}"`);
  const time = (value: unknown): bigint => (typeof value === "bigint" ? value : 0n);
  const number = (value: unknown): number => (typeof value === "number" ? value : 0);
  const text = (value: unknown): string => (typeof value === "string" ? value : "");
  const { linux } = (fields.Resources ?? {}) as { linux?: Partial<LinuxContainerResources> };
  const run: ContainerRun = {
    ...newRun(time(fields.CreatedAt), linux === undefined ? undefined : LinuxContainerResources.fromPartial(linux)),
    startedAt: time(fields.StartedAt),
    finishedAt: time(fields.FinishedAt),
    pid: number(fields.Pid),
    exitCode: number(fields.ExitCode),
    reason: text(fields.Reason),
    message: text(fields.Message),
  };
  run.state = stateOf(run);
  return run;
}

/** What the times say. */
function stateOf({ createdAt, startedAt, finishedAt }: ContainerRun): ContainerRun["state"] {
  if (finishedAt !== 0n) return "exited";
  if (startedAt !== 0n) return "running";
  return createdAt === 0n ? "unknown" : "created";
}
