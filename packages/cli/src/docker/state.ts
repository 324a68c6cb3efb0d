import { readFileSync } from "node:fs";
import { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
import { dateOfTimestamp } from "@hull/api/timestamp";
import type { Client } from "@hull/client/client";
import { type ProcessState, Status } from "@hull/client/tasks";
import { HullError, isCode } from "@hull/errors";
import { processStat } from "@hull/sys/process";
import { formatAge } from "../command/format.ts";
import { formatAgo } from "./format.ts";

/** What a container is doing, in Docker's words. */
export type ContainerStatus = "created" | "running" | "paused" | "exited";

export interface ContainerState {
  readonly status: ContainerStatus;
  readonly pid: number;
  readonly exitCode: number;
  readonly startedAt: Date | undefined;
  readonly finishedAt: Date | undefined;
}

/** A container that was never started, or not since the machine was. */
export const notStarted: ContainerState = {
  status: "created",
  pid: 0,
  exitCode: 0,
  startedAt: undefined,
  finishedAt: undefined,
};

export function stateOfTask(task: ProcessState): ContainerState {
  const { pid, exitStatus, exitedAt } = task;
  switch (task.status) {
    case Status.RUNNING:
      return { ...notStarted, status: "running", pid, startedAt: startOf(pid) };
    case Status.PAUSED:
    case Status.PAUSING:
      return { ...notStarted, status: "paused", pid, startedAt: startOf(pid) };
    case Status.STOPPED:
      return { ...notStarted, status: "exited", exitCode: exitStatus, finishedAt: dateOfTimestamp(exitedAt) };
    default:
      return notStarted;
  }
}

/** What a container is doing; `notStarted` if it has no task. */
export async function stateOf(client: Client, id: string): Promise<ContainerState> {
  try {
    const { process } = await client.service(TasksDefinition).get({ containerId: id });
    return process === undefined ? notStarted : stateOfTask(process);
  } catch (error) {
    if (isCode(error, "notFound")) return notStarted;
    throw error;
  }
}

/** What every container that has a task is doing, by id. */
export async function statesOf(client: Client): Promise<ReadonlyMap<string, ContainerState>> {
  const { tasks } = await client.service(TasksDefinition).list({});
  return new Map(tasks.map((task) => [task.id, stateOfTask(task)]));
}

/** "Up 5 minutes", "Exited (0) 3 seconds ago", "Created". */
export function describeState({ status, exitCode, startedAt, finishedAt }: ContainerState, now = Date.now()): string {
  const up = startedAt === undefined ? "Up" : `Up ${formatAge(Math.max(0, now - startedAt.getTime()))}`;
  switch (status) {
    case "created":
      return "Created";
    case "running":
      return up;
    case "paused":
      return `${up} (Paused)`;
    case "exited":
      return `Exited (${exitCode}) ${formatAgo(finishedAt, now)}`.trim();
  }
}

/** The kernel's clock tick in /proc. */
const ticksPerSecond = 100;

/** When a process of this machine began; the API doesn't tell. Undefined if it is none that we see. */
function startOf(pid: number): Date | undefined {
  try {
    const { startTicks } = processStat(pid);
    const uptime = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
    return new Date(Date.now() - uptime * 1000 + (startTicks * 1000) / ticksPerSecond);
  } catch (error) {
    if (HullError.from(error).code === "internal") throw error;
    return undefined;
  }
}
