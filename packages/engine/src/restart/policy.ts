/** Restart policies, as the label `containerd.io/restart.policy` and docker's `--restart` write them. */

import { invalidArgument } from "@hull/errors";
import type { Labels } from "../labels.ts";

/** What the monitor goes by: containerd's labels of a container. */
export const restartLabels = {
  /** What it is to be: `running` or `stopped`. Without it the monitor leaves the container alone. */
  status: "containerd.io/restart.status",
  policy: "containerd.io/restart.policy",
  /** How often it was restarted. */
  count: "containerd.io/restart.count",
  /** True if a person stopped it, for `unless-stopped`. */
  explicitlyStopped: "containerd.io/restart.explicitly-stopped",
  /** Where the output of a restarted task goes. */
  logUri: "containerd.io/restart.loguri",
} as const;

export interface RestartPolicy {
  name: "no" | "always" | "on-failure" | "unless-stopped";
  /** For `on-failure`; 0: without end. */
  maximumRetries: number;
}

/**
 * Reads `no`, `always`, `on-failure[:N]` or `unless-stopped`; empty means `always`, as for containerd.
 * @throws InvalidArgument in containerd's words
 */
export function parseRestartPolicy(text: string): RestartPolicy {
  const [name = "", count, ...rest] = text.split(":");
  switch (name) {
    case "":
    case "no":
    case "always":
    case "unless-stopped":
      if (count !== undefined) throw invalidArgument(`restart policy "${name}" not support max retry count`);
      return { name: name === "" ? "always" : name, maximumRetries: 0 };
    case "on-failure":
      if (count !== undefined && (rest.length > 0 || !/^[+-]?\d{1,15}$/.test(count)))
        throw invalidArgument(`invalid max retry count: ${count}`);
      return { name, maximumRetries: Number(count ?? 0) };
    default:
      throw invalidArgument(`restart policy "${text}" not supported`);
  }
}

const trueTexts: ReadonlySet<string> = new Set(["1", "t", "T", "true", "TRUE", "True"]);

/**
 * True if a container that is to run and doesn't is to be started again. `exitStatus` is its last one's, 0 if that isn't known.
 * @throws InvalidArgument for labels that don't parse
 */
export function isToRestart(labels: Labels, exitStatus: number): boolean {
  const policy = parseRestartPolicy(labels[restartLabels.policy] ?? "");
  switch (policy.name) {
    case "no":
      return false;
    case "always":
      return true;
    case "unless-stopped":
      return !trueTexts.has(labels[restartLabels.explicitlyStopped] ?? "");
    case "on-failure": {
      const count = restartCount(labels);
      return exitStatus !== 0 && (policy.maximumRetries === 0 || count < policy.maximumRetries);
    }
  }
}

/** How often a container was restarted. @throws InvalidArgument if the label is no number */
export function restartCount(labels: Labels): number {
  const text = labels[restartLabels.count] ?? "";
  if (text === "") return 0;
  if (!/^[+-]?\d{1,15}$/.test(text)) throw invalidArgument(`label "${restartLabels.count}" is "${text}", not a number`);
  return Number(text);
}
