import { logLabel } from "@hull/client/logs/place";
import { networkLabelNames } from "@hull/client/network/labels";
import { autoRemoveLabel } from "@hull/engine/auto-remove/index";
import { volumesLabel } from "@hull/engine/auto-remove/volumes";
import { healthLabels } from "@hull/engine/health/config";
import { restartLabels } from "@hull/engine/restart/policy";

/** What the docker-like commands keep of a container: labels of its record, which every client sees. Times and paths as texts. */
export const labelNames = {
  /** Unique in its namespace. */
  name: "hull/name",
  /** "true": the daemon removes the container when it ends. */
  autoRemove: autoRemoveLabel,
  /** Where its output goes while it runs detached: a file:// URI. */
  log: logLabel,
  /** Signal that asks it to end, by number. */
  stopSignal: "hull/stop-signal",
  /** Seconds from that signal to SIGKILL. */
  stopTimeout: "hull/stop-timeout",
  /** "true": its stdin is kept open. */
  stdin: "hull/stdin-open",
  /** "true": it has files of its own, made for it on the host. */
  files: "hull/own-files",
  ...networkLabelNames,
} as const;

const own = new Set<string>([
  volumesLabel,
  ...[labelNames, restartLabels, healthLabels].flatMap((names) => Object.values<string>(names)),
]);

/** The labels that a user, or the image, gave. */
export function userLabels(labels: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).filter(([key]) => !own.has(key)));
}
