import { parseHealthCheck } from "@hull/oci/health-check";
import type { Labels } from "../labels.ts";

/** Labels of a container that is checked. */
export const healthLabels = {
  /** How: JSON, see `HealthCheck` of @hull/oci. Without it, it is left alone. */
  check: "hull/healthcheck",
  /** What came of it: `starting`, `healthy` or `unhealthy`. */
  status: "hull/health",
} as const;

export type HealthStatus = "starting" | "healthy" | "unhealthy";

/** A check with its defaults; times in milliseconds. */
export interface Probe {
  readonly args: readonly string[];
  readonly interval: number;
  readonly timeout: number;
  readonly startPeriod: number;
  readonly startInterval: number;
  readonly retries: number;
}

const nanosecondsPerMillisecond = 1e6;

/** What a container's labels say of checks; undefined if it isn't checked, or they make no sense. */
export function probeOf(labels: Labels): Probe | undefined {
  const check = parseHealthCheck(labels[healthLabels.check] ?? "");
  const args = check === undefined ? undefined : commandOf(check.Test);
  if (check === undefined || args === undefined) return undefined;
  const time = (value: number | undefined, byDefault: number): number =>
    value === undefined || value <= 0 ? byDefault : Math.max(1, value / nanosecondsPerMillisecond);
  return {
    args,
    interval: time(check.Interval, 30_000),
    timeout: time(check.Timeout, 30_000),
    startPeriod: time(check.StartPeriod, 0),
    startInterval: time(check.StartInterval, 5000),
    retries: check.Retries !== undefined && check.Retries > 0 ? check.Retries : 3,
  };
}

/** What is run; undefined for a test that is none. */
function commandOf([kind, ...words]: readonly string[]): readonly string[] | undefined {
  if (words.length === 0) return undefined;
  if (kind === "CMD") return words;
  return kind === "CMD-SHELL" ? ["/bin/sh", "-c", words.join(" ")] : undefined;
}
