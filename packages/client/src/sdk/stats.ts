import { Metrics as Metrics1 } from "@hull/api/gen/cgroups/v1/metrics";
import { Metrics as Metrics2 } from "@hull/api/gen/cgroups/v2/metrics";
import { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
import type { Any } from "@hull/api/gen/google/protobuf/any";
import { decodeAny, isType } from "@hull/api/typeurl";
import { failedPrecondition } from "@hull/errors";
import type { Client } from "../client.ts";

/** What a container's processes take, all together, as their control group counts it. */
export interface ContainerStats {
  readonly at: Date;
  /** Processor time so far, ms: the difference of two, over the time between them, is the share of processors. */
  readonly cpuMs: number;
  /** Memory now, bytes, with what the kernel caches of files. */
  readonly memory: number;
  /** Most memory at any time, bytes; 0 where the kernel doesn't tell. */
  readonly memoryPeak: number;
  /** Limit of memory, bytes; undefined without one. */
  readonly memoryLimit: number | undefined;
  /** Processes and threads now. */
  readonly pids: number;
  /** Processes that the kernel has ended for want of memory. */
  readonly oomKills: number;
}

/** A limit that is none: the largest number of pages in 64 bits, or more. */
const noLimit = 2 ** 62;

/** @throws FailedPrecondition for a container that has no process */
export async function statsOf(client: Client, id: string): Promise<ContainerStats> {
  const found = await countsOf(client, id);
  if (found === undefined) throw failedPrecondition(`container "${id}" doesn't run: there is nothing to count`);
  return found;
}

/** undefined where nothing is counted (any more). */
export async function countsOf(client: Client, id: string): Promise<ContainerStats | undefined> {
  const { metrics } = await client.service(TasksDefinition).metrics({ filters: [`id==${id}`] });
  const data = metrics.find((metric) => metric.id === id)?.data;
  return data === undefined ? undefined : decode(data);
}

function decode(data: Any): ContainerStats {
  const at = new Date();
  const limitOf = (bytes: bigint | undefined): number | undefined =>
    bytes === undefined || bytes === 0n || Number(bytes) >= noLimit ? undefined : Number(bytes);
  if (isType(data, "io.containerd.cgroups.v2.Metrics")) {
    const { cpu, memory, memoryEvents, pids } = decodeAny(data, "io.containerd.cgroups.v2.Metrics", Metrics2);
    return {
      at,
      cpuMs: Number((cpu?.usageUsec ?? 0n) / 1000n),
      memory: Number(memory?.usage ?? 0n),
      memoryPeak: Number(memory?.maxUsage ?? 0n),
      memoryLimit: limitOf(memory?.usageLimit),
      pids: Number(pids?.current ?? 0n),
      oomKills: Number(memoryEvents?.oomKill ?? 0n),
    };
  }
  const { cpu, memory, memoryOomControl, pids } = decodeAny(data, "io.containerd.cgroups.v1.Metrics", Metrics1);
  return {
    at,
    cpuMs: Math.round(Number(cpu?.usage?.total ?? 0n) / 1e6),
    memory: Number(memory?.usage?.usage ?? 0n),
    memoryPeak: Number(memory?.usage?.max ?? 0n),
    memoryLimit: limitOf(memory?.usage?.limit),
    pids: Number(pids?.current ?? 0n),
    oomKills: Number(memoryOomControl?.oomKill ?? 0n),
  };
}
