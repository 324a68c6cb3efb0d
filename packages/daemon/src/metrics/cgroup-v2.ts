import type { IOEntry, MemoryStat, Metrics } from "@hull/api/gen/cgroups/v2/metrics";
import { type CgroupMetric, single } from "./cgroup.ts";

/**
 * What containerd shows of `io.containerd.cgroups.v2.Metrics`, under its names. Source: containerd, core/metrics/cgroups/v2.
 */

/** `memory.stat` by containerd's names of its fields, which all count as bytes there. */
const memoryStat: readonly (readonly [string, keyof MemoryStat])[] = [
  ["file_mapped", "fileMapped"],
  ["file_dirty", "fileDirty"],
  ["file_writeback", "fileWriteback"],
  ["pgactivate", "pgactivate"],
  ["pgdeactivate", "pgdeactivate"],
  ["pgfault", "pgfault"],
  ["pgmajfault", "pgmajfault"],
  ["pglazyfree", "pglazyfree"],
  ["pgrefill", "pgrefill"],
  ["pglazyfreed", "pglazyfreed"],
  ["pgscan", "pgscan"],
  ["pgsteal", "pgsteal"],
  ["inactive_anon", "inactiveAnon"],
  ["active_anon", "activeAnon"],
  ["inactive_file", "inactiveFile"],
  ["active_file", "activeFile"],
  ["unevictable", "unevictable"],
  ["anon", "anon"],
  ["file", "file"],
  ["kernel_stack", "kernelStack"],
  ["slab", "slab"],
  ["sock", "sock"],
  ["shmem", "shmem"],
  ["anon_thp", "anonThp"],
  ["slab_reclaimable", "slabReclaimable"],
  ["slab_unreclaimable", "slabUnreclaimable"],
  ["workingset_refault", "workingsetRefault"],
  ["workingset_activate", "workingsetActivate"],
  ["workingset_nodereclaim", "workingsetNodereclaim"],
  ["thp_fault_alloc", "thpFaultAlloc"],
  ["thp_collapse_alloc", "thpCollapseAlloc"],
];

const memoryStatMetrics = memoryStat.map(([name, field]) =>
  single<Metrics>(`memory_${name}_bytes`, `The ${name} amount`, ({ memory }) => {
    const value = memory?.[field];
    return typeof value === "bigint" ? value : undefined;
  }),
);

const io = (name: string, help: string, field: "rbytes" | "wbytes" | "rios" | "wios"): CgroupMetric<Metrics> => ({
  name: `io_${name}`,
  help,
  values: (stats) =>
    (stats.io?.usage ?? []).map((entry: IOEntry) => ({
      labels: { major: String(entry.major), minor: String(entry.minor) },
      value: entry[field],
    })),
});

export const cgroupV2Metrics: readonly CgroupMetric<Metrics>[] = [
  single("pids_limit", "The limit to the number of pids allowed (cgroup v2)", ({ pids }) => pids?.limit),
  single("pids_current", "The current number of pids (cgroup v2)", ({ pids }) => pids?.current),
  single("cpu_usage_usec_microseconds", "Total cpu usage (cgroup v2)", ({ cpu }) => cpu?.usageUsec),
  single("cpu_user_usec_microseconds", "Current cpu usage in user space (cgroup v2)", ({ cpu }) => cpu?.userUsec),
  single("cpu_system_usec_microseconds", "Current cpu usage in kernel space (cgroup v2)", ({ cpu }) => cpu?.systemUsec),
  single(
    "cpu_nr_periods_total",
    "Current cpu number of periods (only if controller is enabled)",
    ({ cpu }) => cpu?.nrPeriods,
  ),
  single(
    "cpu_nr_throttled_total",
    "Total number of times tasks have been throttled (only if controller is enabled)",
    ({ cpu }) => cpu?.nrThrottled,
  ),
  single(
    "cpu_throttled_usec_microseconds",
    "Total time duration for which tasks have been throttled. (only if controller is enabled)",
    ({ cpu }) => cpu?.throttledUsec,
  ),
  single("memory_usage_bytes", "Current memory usage (cgroup v2)", ({ memory }) => memory?.usage),
  single("memory_usage_limit_bytes", "Current memory usage limit (cgroup v2)", ({ memory }) => memory?.usageLimit),
  single("memory_swap_usage_bytes", "Current swap usage (cgroup v2)", ({ memory }) => memory?.swapUsage),
  single("memory_swap_limit_bytes", "Current swap usage limit (cgroup v2)", ({ memory }) => memory?.swapLimit),
  ...memoryStatMetrics,
  single(
    "memory_oom_total",
    "The number of times a container has received an oom event",
    ({ memoryEvents }) => memoryEvents?.oom,
  ),
  io("rbytes_bytes", "IO bytes read", "rbytes"),
  io("wbytes_bytes", "IO bytes written", "wbytes"),
  io("rios_total", "Number of read IOs", "rios"),
  io("wios_total", "Number of write IOs", "wios"),
];
