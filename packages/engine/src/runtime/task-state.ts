/** What shims answer of a task, as the engine has it. */

import type { StateResponse } from "@hull/api/gen/containerd/task/v3/task";
import { Status } from "@hull/api/gen/containerd/types/task/task";
import { nanosOfTimestamp } from "@hull/api/timestamp";
import type { Nanoseconds } from "../labels.ts";
import type { Exit, ProcessState, TaskStatus } from "./index.ts";

const statuses: Readonly<Record<Status, TaskStatus>> = {
  [Status.UNKNOWN]: "unknown",
  [Status.CREATED]: "created",
  [Status.RUNNING]: "running",
  [Status.STOPPED]: "stopped",
  [Status.PAUSED]: "paused",
  [Status.PAUSING]: "pausing",
};

/** How a process ended. */
export function exitOf(response: Pick<StateResponse, "pid" | "exitStatus" | "exitedAt">): Exit {
  const { pid, exitStatus, exitedAt } = response;
  return { pid, exitStatus, exitedAt: nanosOfTimestamp(exitedAt) ?? never };
}

/** When a process that never ran has ended: Go's zero time. */
const never: Nanoseconds = -62_135_596_800_000_000_000n;

/** The state of a task's process; `execId` is empty for the first one. */
export function stateOf(id: string, execId: string, state: StateResponse): ProcessState {
  const { bundle, pid, stdin, stdout, stderr, terminal, exitStatus } = state;
  const status = statuses[state.status] ?? "unknown";
  const exitedAt = nanosOfTimestamp(state.exitedAt);
  return { id, execId, bundle, pid, status, stdin, stdout, stderr, terminal, exitStatus, exitedAt };
}
