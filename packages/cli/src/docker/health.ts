import { join } from "node:path";
import type { Client } from "@hull/client/client";
import type { Container } from "@hull/client/containers";
import { healthLabels, probeOf } from "@hull/engine/health/config";
import { healthFile, readHealth } from "@hull/engine/health/record";
import { invalidArgument } from "@hull/errors";
import { type HealthCheck, parseHealthCheck } from "@hull/oci/health-check";
import type { FlagValues } from "../command/index.ts";
import { clientDirectory } from "./client-directory.ts";
import type { healthFlags } from "./health-flags.ts";

type HealthFlags = FlagValues<typeof healthFlags>;

const nanosecondsPerMillisecond = 1e6;
/** A label's key and value are together at most so long. */
const longestLabel = 4096;

/**
 * The labels of a container whose health is checked: as the flags say, and for what they don't the image. None if it isn't checked.
 * @throws InvalidArgument
 */
export function healthLabelsOf(flags: HealthFlags, image: HealthCheck | undefined): Record<string, string> {
  const { Test, ...times } = checkOf(flags);
  if (flags["no-healthcheck"]) {
    if (Test.length > 0 || Object.keys(times).length > 0)
      throw invalidArgument("--no-healthcheck conflicts with --health-* options");
    return {};
  }
  const check = { ...image, ...times, Test: Test.length > 0 ? Test : (image?.Test ?? []) };
  const label = JSON.stringify(check);
  const labels = { [healthLabels.check]: label };
  if (probeOf(labels) === undefined) {
    if (Object.keys(times).length > 0 && image === undefined)
      throw invalidArgument("there is no health check to have these times: add --health-cmd COMMAND");
    return {};
  }
  if (Buffer.byteLength(label) + healthLabels.check.length > longestLabel)
    throw invalidArgument("the command of the health check is too long: put it into a script of the image");
  return labels;
}

function checkOf(flags: HealthFlags): HealthCheck {
  const command = flags["health-cmd"] ?? "";
  const time = (name: "interval" | "timeout" | "start-period" | "start-interval"): number | undefined => {
    const value = flags[`health-${name}`];
    if (value === undefined || value === 0) return undefined;
    if (value < 0) throw invalidArgument(`--health-${name} cannot be negative`);
    if (value < 1) throw invalidArgument(`--health-${name} cannot be less than one millisecond`);
    return value * nanosecondsPerMillisecond;
  };
  const retries = flags["health-retries"];
  if (retries !== undefined && retries < 0) throw invalidArgument("--health-retries cannot be negative");
  const given = {
    Interval: time("interval"),
    Timeout: time("timeout"),
    StartPeriod: time("start-period"),
    StartInterval: time("start-interval"),
    Retries: retries === 0 ? undefined : retries,
  };
  return {
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    Test: command === "" ? [] : ["CMD-SHELL", command],
  };
}

/** How a container is checked; undefined if it isn't. */
export const healthCheckOfContainer = ({ labels }: Pick<Container, "labels">): HealthCheck | undefined =>
  parseHealthCheck(labels[healthLabels.check] ?? "");

/** "starting", "healthy", "unhealthy"; "none" for a container that isn't checked. */
export const healthOf = ({ labels }: Pick<Container, "labels">): string =>
  labels[healthLabels.check] === undefined ? "none" : (labels[healthLabels.status] ?? "starting");

/** As docker tells it in a list, behind how long it has been up. */
export function healthSuffix(container: Pick<Container, "labels">): string {
  const health = healthOf(container);
  if (health === "none") return "";
  return health === "starting" ? " (health: starting)" : ` (${health})`;
}

/** What came of the last checks, in docker's JSON; undefined for a container that isn't checked. */
export async function describeHealth(client: Client, container: Container, root: string): Promise<unknown> {
  const Status = healthOf(container);
  if (Status === "none") return undefined;
  const directory = await clientDirectory(client, "containers", root);
  const record = readHealth(join(directory, client.namespace, container.id, healthFile));
  return { Status, FailingStreak: record?.failingStreak ?? 0, Log: record?.log ?? [] };
}
