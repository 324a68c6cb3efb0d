import { isDeepStrictEqual } from "node:util";
import type { Engine } from "@hull/engine";
import type { ReloadReport } from "@hull/engine/plugin/graph";
import type { DaemonConfig } from "./config/load.ts";
import { type LevelLogger, parseLogLevel } from "./log.ts";
import type { RunningMetrics } from "./metrics/start.ts";

/** What of a running daemon a new configuration is put into. */
export interface ReloadTarget {
  readonly engine: Engine;
  readonly log: LevelLogger;
  readonly metrics: RunningMetrics | undefined;
}

type Table = Readonly<Record<string, unknown>>;

/**
 * Puts the values that can change while the daemon runs into force, and tells which others changed. `inForce` is what counted so far; it
 * is brought up to date.
 * @throws InvalidArgument for a bad value, before anything changes; Unavailable if metrics can't be served at their new address
 */
export function reloadInto(target: ReloadTarget, inForce: DaemonConfig, wanted: DaemonConfig): ReloadReport {
  const report = { applied: [] as string[], waiting: [] as string[] };
  const plugins = target.engine.plugins.reload(wanted.plugins);
  const take: Readonly<Record<string, (() => void) | undefined>> = {
    "debug.level": () => {
      target.log.level = logLevelOf(wanted);
      inForce.debug = { ...inForce.debug, level: wanted.debug.level };
    },
    "metrics.address": movesMetrics(target.metrics, wanted),
  };
  for (const key of changedKeys(inForce, wanted)) {
    const apply = take[key];
    if (apply === undefined) report.waiting.push(key);
    else {
      apply();
      report.applied.push(key);
    }
  }
  return { applied: [...report.applied, ...plugins.applied], waiting: [...report.waiting, ...plugins.waiting] };

  function movesMetrics(metrics: RunningMetrics | undefined, { metrics: { address } }: DaemonConfig) {
    // What counts calls stands around the services from the start, or never.
    if (metrics === undefined || address === "") return undefined;
    return () => {
      metrics.move(address);
      inForce.metrics = { ...inForce.metrics, address };
    };
  }
}

/** The level that a configuration asks for. */
export const logLevelOf = ({ debug: { level } }: DaemonConfig) => parseLogLevel(level === "" ? "info" : level);

/** `root`, `grpc.address`, `timeouts.<name>` … of what differs. The plugins' tables are theirs, and what was imported doesn't matter. */
function changedKeys(before: DaemonConfig, after: DaemonConfig): string[] {
  const keys: string[] = [];
  for (const [name, value] of Object.entries(after)) {
    const old = before[name as keyof DaemonConfig];
    if (["plugins", "imports", "version"].includes(name) || isDeepStrictEqual(old, value)) continue;
    if (typeof value !== "object" || Array.isArray(value)) keys.push(name);
    else {
      const [was, is] = [old as Table, value as Table];
      const changed = Object.keys({ ...was, ...is }).filter((key) => !isDeepStrictEqual(was[key], is[key]));
      keys.push(...changed.map((key) => `${name}.${key}`));
    }
  }
  return keys;
}
