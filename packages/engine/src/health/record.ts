import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** One check, as docker tells it. Times are RFC 3339. */
export interface HealthResult {
  readonly Start: string;
  readonly End: string;
  /** 0: healthy; -1: it took too long, or couldn't be run. */
  readonly ExitCode: number;
  /** At most 4096 bytes. */
  readonly Output: string;
}

/** What is kept of a container's checks since it was started, in a file of its own: too much for labels, and too often. */
export interface HealthRecord {
  /** Of the container; milliseconds since 1970. */
  readonly startedAt: number;
  /** How many have failed since the last that didn't. */
  readonly failingStreak: number;
  /** The last five. */
  readonly log: readonly HealthResult[];
}

/** The file, in the directory of a container's own files. */
export const healthFile = "health.json";

/** @returns undefined if there is none */
export function readHealth(path: string): HealthRecord | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as HealthRecord;
  } catch {
    // It was never checked, or is being removed.
    return undefined;
  }
}

export function writeHealth(path: string, record: HealthRecord): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
  // Whoever reads it meanwhile has the old or the new one.
  writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** The checks of a container that is gone. */
export const removeHealth = (path: string): void => rmSync(path, { force: true });
