import { readdirSync, readFileSync } from "node:fs";
import type { Metric } from "./exposition.ts";
import type { MetricSource } from "./index.ts";

/** Clock ticks a second, in which /proc counts: sysconf(_SC_CLK_TCK), 100 on every Linux that Bun runs on. */
const ticks = 100;
const pageSize = 4096;

/** The daemon's own process, under the names of Prometheus' clients: https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics */
export const processMetrics: MetricSource = {
  collect: () => {
    const stat = readStat();
    const limits = readFileSync("/proc/self/limits", "utf8");
    return [
      counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", cpuSeconds(stat)),
      gauge("process_open_fds", "Number of open file descriptors.", readdirSync("/proc/self/fd").length - 1),
      gauge("process_max_fds", "Maximum number of open file descriptors.", limit(limits, "Max open files")),
      gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", stat[20] ?? 0),
      gauge(
        "process_virtual_memory_max_bytes",
        "Maximum amount of virtual memory available in bytes.",
        limit(limits, "Max address space"),
      ),
      gauge("process_resident_memory_bytes", "Resident memory size in bytes.", (stat[21] ?? 0) * pageSize),
      gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", startTime(stat)),
      gauge("hull_heap_bytes", "Memory that the daemon's objects take.", process.memoryUsage().heapUsed),
    ];
  },
};

/** Which build this is. */
export const buildMetrics = (version: string, revision: string): MetricSource => ({
  collect: () => [
    {
      name: "containerd_build_info_total",
      help: "containerd build information",
      type: "counter",
      samples: [{ labels: { version, revision }, value: 1 }],
    },
  ],
});

/** Numbers of /proc/self/stat from its third field on, the state left out as NaN: proc(5). */
function readStat(): number[] {
  const text = readFileSync("/proc/self/stat", "utf8");
  // The program's name may have blanks and parentheses of its own.
  return text
    .slice(text.lastIndexOf(")") + 2)
    .split(" ")
    .map(Number);
}

/** utime and stime, fields 14 and 15. */
const cpuSeconds = (stat: readonly number[]): number => ((stat[11] ?? 0) + (stat[12] ?? 0)) / ticks;

/** Field 22 counts from the machine's start, of which /proc/stat has the time. */
function startTime(stat: readonly number[]): number {
  const boot = Number(/^btime (\d+)$/m.exec(readFileSync("/proc/stat", "utf8"))?.[1] ?? 0);
  return boot + (stat[19] ?? 0) / ticks;
}

function limit(limits: string, name: string): number {
  const [, soft = ""] = new RegExp(`^${name}\\s+(\\S+)`, "m").exec(limits) ?? [];
  return soft === "unlimited" ? 2 ** 64 : Number(soft);
}

const gauge = (name: string, help: string, value: number): Metric => ({
  name,
  help,
  type: "gauge",
  samples: [{ value }],
});

const counter = (name: string, help: string, value: number): Metric => ({
  ...gauge(name, help, value),
  type: "counter",
});
