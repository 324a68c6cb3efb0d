import { Metrics as Metrics1 } from "@hull/api/gen/cgroups/v1/metrics";
import { Metrics as Metrics2 } from "@hull/api/gen/cgroups/v2/metrics";
import { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
import type { Any } from "@hull/api/gen/google/protobuf/any";
import { decodeAny, isType } from "@hull/api/typeurl";
import type { Client } from "../client.ts";

/** What the control group of a sandbox has counted. */
export interface Counted {
  /** Processor time, ms. */
  readonly cpuMs: number;
  /** Most memory at any time, bytes. */
  readonly memoryPeak: number;
  /** Processes that the kernel has ended for want of memory. */
  readonly oomKills: number;
}

const nothing: Counted = { cpuMs: 0, memoryPeak: 0, oomKills: 0 };

/** Of a task that has ended and hasn't been taken away: its control group is there until then. */
export async function countedOf(client: Client, id: string): Promise<Counted> {
  const { metrics } = await client.service(TasksDefinition).metrics({ filters: [`id==${id}`] });
  const data = metrics.find((metric) => metric.id === id)?.data;
  return data === undefined ? nothing : decode(data);
}

function decode(data: Any): Counted {
  if (isType(data, "io.containerd.cgroups.v2.Metrics")) {
    const { cpu, memory, memoryEvents } = decodeAny(data, "io.containerd.cgroups.v2.Metrics", Metrics2);
    return {
      cpuMs: Number((cpu?.usageUsec ?? 0n) / 1000n),
      memoryPeak: Number(memory?.maxUsage ?? 0n),
      oomKills: Number(memoryEvents?.oomKill ?? 0n),
    };
  }
  const { cpu, memory, memoryOomControl } = decodeAny(data, "io.containerd.cgroups.v1.Metrics", Metrics1);
  return {
    cpuMs: Math.round(Number(cpu?.usage?.total ?? 0n) / 1e6),
    memoryPeak: Number(memory?.usage?.max ?? 0n),
    oomKills: Number(memoryOomControl?.oomKill ?? 0n),
  };
}
