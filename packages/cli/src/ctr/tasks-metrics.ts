import { Metrics as Metrics1 } from "@hull/api/gen/cgroups/v1/metrics";
import { Metrics as Metrics2 } from "@hull/api/gen/cgroups/v2/metrics";
import { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
import type { Any } from "@hull/api/gen/google/protobuf/any";
import { nanosOfTimestamp, rfc3339OfNanos } from "@hull/api/timestamp";
import { decodeAny, isType } from "@hull/api/typeurl";
import { getContainer } from "@hull/client/containers";
import { getProcess } from "@hull/client/tasks";
import { formatColumns } from "../command/index.ts";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import { CtrError } from "./errors.ts";
import type { tasksMetrics } from "./flags.ts";
import { goJson, messageToGo } from "./go-json.ts";

const types = { v1: "io.containerd.cgroups.v1.Metrics", v2: "io.containerd.cgroups.v2.Metrics" } as const;

export const metrics: CtrAction<typeof tasksMetrics> = ({ flags, args: [id = ""], globals, host }) =>
  withClient(globals, async (client) => {
    await getContainer(client, id);
    await getProcess(client, id);
    const { metrics: found } = await client
      .service(TasksDefinition)
      .metrics({ filters: [`id==${JSON.stringify(id)}`] });
    const [metric] = found;
    if (metric?.data === undefined) throw new CtrError(`no metrics are there for task "${id}"`);
    const { data, timestamp } = metric;
    switch (flags.format) {
      case "json":
        await host.out(`${goJson(messageToGo(decode(data).message), "  ")}\n`);
        return 0;
      case "table": {
        const time = rfc3339OfNanos(nanosOfTimestamp(timestamp) ?? 0n)
          .replace("T", " ")
          .replace("Z", " +0000 UTC");
        const rows = rowsOf(data).map(([name, value]) => `${name}\t${value}\t\n`);
        const text = `ID\tTIMESTAMP\t\n${metric.id}\t${time}\t\n\nMETRIC\tVALUE\t\n${rows.join("")}`;
        await host.out(formatColumns(text, { minWidth: 1, padding: 4 }));
        return 0;
      }
      default:
        throw new CtrError("format must be table or json");
    }
  });

function decode(data: Any): { version: 1; message: Metrics1 } | { version: 2; message: Metrics2 } {
  if (isType(data, types.v1)) return { version: 1, message: decodeAny(data, types.v1, Metrics1) };
  if (isType(data, types.v2)) return { version: 2, message: decodeAny(data, types.v2, Metrics2) };
  throw new CtrError(`cannot convert metric data of type "${data.typeUrl}" to cgroups.Metrics`);
}

function rowsOf(data: Any): (readonly [string, string | number | bigint])[] {
  const { version, message } = decode(data);
  if (version === 1) {
    const { memory, cpu, pids } = message;
    return [
      ...(memory === undefined
        ? []
        : ([
            ["memory.usage_in_bytes", memory.usage?.usage ?? 0n],
            ["memory.limit_in_bytes", memory.usage?.limit ?? 0n],
            ["memory.stat.cache", memory.totalCache],
          ] as const)),
      ...(cpu === undefined
        ? []
        : ([
            ["cpuacct.usage", cpu.usage?.total ?? 0n],
            ["cpuacct.usage_percpu", `[${(cpu.usage?.perCpu ?? []).join(" ")}]`],
          ] as const)),
      ...(pids === undefined
        ? []
        : ([
            ["pids.current", pids.current],
            ["pids.limit", pids.limit],
          ] as const)),
    ];
  }
  const { pids, cpu, memory } = message;
  return [
    ...(pids === undefined
      ? []
      : ([
          ["pids.current", pids.current],
          ["pids.limit", pids.limit],
        ] as const)),
    ...(cpu === undefined
      ? []
      : ([
          ["cpu.usage_usec", cpu.usageUsec],
          ["cpu.user_usec", cpu.userUsec],
          ["cpu.system_usec", cpu.systemUsec],
          ["cpu.nr_periods", cpu.nrPeriods],
          ["cpu.nr_throttled", cpu.nrThrottled],
          ["cpu.throttled_usec", cpu.throttledUsec],
        ] as const)),
    ...(memory === undefined
      ? []
      : ([
          ["memory.usage", memory.usage],
          ["memory.usage_limit", memory.usageLimit],
          ["memory.swap_usage", memory.swapUsage],
          ["memory.swap_limit", memory.swapLimit],
        ] as const)),
  ];
}
