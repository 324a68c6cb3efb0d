import type {
  BlkIOEntry,
  BlkIOStat,
  HugetlbStat,
  MemoryEntry,
  MemoryStat,
  Metrics,
} from "@hull/api/gen/cgroups/v1/metrics";
import { type CgroupMetric, single } from "./cgroup.ts";

/**
 * What containerd shows of `io.containerd.cgroups.v1.Metrics`, under its names. Source: containerd, core/metrics/cgroups/v1.
 */

/** `memory.stat` by containerd's names of its fields. */
const memoryStat: readonly (readonly [string, keyof MemoryStat, used?: "used"])[] = [
  ["cache", "cache", "used"],
  ["rss", "rss", "used"],
  ["rss_huge", "rssHuge", "used"],
  ["mapped_file", "mappedFile", "used"],
  ["dirty", "dirty"],
  ["writeback", "writeback"],
  ["pgpgin", "pgPgIn"],
  ["pgpgout", "pgPgOut"],
  ["pgfault", "pgFault"],
  ["pgmajfault", "pgMajFault"],
  ["inactive_anon", "inactiveAnon"],
  ["active_anon", "activeAnon"],
  ["inactive_file", "inactiveFile"],
  ["active_file", "activeFile"],
  ["unevictable", "unevictable"],
  ["hierarchical_memory_limit", "hierarchicalMemoryLimit"],
  ["hierarchical_memsw_limit", "hierarchicalSwapLimit"],
  ["total_cache", "totalCache", "used"],
  ["total_rss", "totalRss", "used"],
  ["total_rss_huge", "totalRssHuge", "used"],
  ["total_mapped_file", "totalMappedFile", "used"],
  ["total_dirty", "totalDirty"],
  ["total_writeback", "totalWriteback"],
  ["total_pgpgin", "totalPgPgIn"],
  ["total_pgpgout", "totalPgPgOut"],
  ["total_pgfault", "totalPgFault"],
  ["total_pgmajfault", "totalPgMajFault"],
  ["total_inactive_anon", "totalInactiveAnon"],
  ["total_active_anon", "totalActiveAnon"],
  ["total_inactive_file", "totalInactiveFile"],
  ["total_active_file", "totalActiveFile"],
  ["total_unevictable", "totalUnevictable"],
];

const memoryStatMetrics = memoryStat.map(([name, field, used]) =>
  single<Metrics>(`memory_${name}_bytes`, `The ${name} amount${used === undefined ? "" : " used"}`, ({ memory }) => {
    const value = memory?.[field];
    return typeof value === "bigint" ? value : undefined;
  }),
);

/** The limits and counters of one kind of memory. */
function memoryEntry(
  name: string,
  texts: Readonly<Record<"failcnt" | "limit" | "max" | "usage", string>>,
  entry: (memory: MemoryStat) => MemoryEntry | undefined,
): CgroupMetric<Metrics>[] {
  const one = (field: keyof MemoryEntry, unit: string): CgroupMetric<Metrics> =>
    single(`memory_${name}_${field}_${unit}`, texts[field], ({ memory }) => memory && entry(memory)?.[field]);
  return [one("failcnt", "total"), one("limit", "bytes"), one("max", "bytes"), one("usage", "bytes")];
}

const textsOf = (name: string): Readonly<Record<"failcnt" | "limit" | "max" | "usage", string>> => ({
  failcnt: `The ${name} failcnt`,
  limit: `The ${name} limit`,
  max: `The ${name} maximum usage`,
  usage: `The ${name} usage`,
});

const hugetlb = (name: string, help: string, field: "usage" | "failcnt" | "max"): CgroupMetric<Metrics> => ({
  name,
  help,
  values: (stats) =>
    stats.hugetlb.map((entry: HugetlbStat) => ({ labels: { page: entry.pagesize }, value: entry[field] })),
});

const blkio = (name: string, help: string, field: keyof BlkIOStat): CgroupMetric<Metrics> => ({
  name: `blkio_${name}`,
  help: `The blkio ${help}`,
  values: (stats) =>
    (stats.blkio?.[field] ?? []).map(({ op, device, major, minor, value }: BlkIOEntry) => ({
      labels: { op, device, major: String(major), minor: String(minor) },
      value,
    })),
});

export const cgroupV1Metrics: readonly CgroupMetric<Metrics>[] = [
  single("pids_limit", "The limit to the number of pids allowed", ({ pids }) => pids?.limit),
  single("pids_current", "The current number of pids", ({ pids }) => pids?.current),
  single("cpu_total_nanoseconds", "The total cpu time", ({ cpu }) => cpu?.usage?.total),
  single("cpu_kernel_nanoseconds", "The total kernel cpu time", ({ cpu }) => cpu?.usage?.kernel),
  single("cpu_user_nanoseconds", "The total user cpu time", ({ cpu }) => cpu?.usage?.user),
  {
    name: "per_cpu_nanoseconds",
    help: "The total cpu time per cpu",
    values: ({ cpu }) => (cpu?.usage?.perCpu ?? []).map((value, index) => ({ labels: { cpu: String(index) }, value })),
  },
  single("cpu_throttle_periods_total", "The total cpu throttle periods", ({ cpu }) => cpu?.throttling?.periods),
  single(
    "cpu_throttled_periods_total",
    "The total cpu throttled periods",
    ({ cpu }) => cpu?.throttling?.throttledPeriods,
  ),
  single("cpu_throttled_time_nanoseconds", "The total cpu throttled time", ({ cpu }) => cpu?.throttling?.throttledTime),
  ...memoryStatMetrics,
  ...memoryEntry(
    "usage",
    {
      failcnt: "The usage failcnt",
      limit: "The memory limit",
      max: "The memory maximum usage",
      usage: "The memory usage",
    },
    ({ usage }) => usage,
  ),
  ...memoryEntry("swap", textsOf("swap"), ({ swap }) => swap),
  ...memoryEntry("kernel", textsOf("kernel"), ({ kernel }) => kernel),
  ...memoryEntry("kerneltcp", textsOf("kerneltcp"), ({ kernelTcp }) => kernelTcp),
  hugetlb("hugetlb_usage_bytes", "The hugetlb usage", "usage"),
  hugetlb("hugetlb_failcnt_total", "The hugetlb failcnt", "failcnt"),
  hugetlb("hugetlb_max_bytes", "The hugetlb maximum usage", "max"),
  blkio("io_merged_recursive_total", "io merged recursive", "ioMergedRecursive"),
  blkio("io_queued_recursive_total", "io queued recursive", "ioQueuedRecursive"),
  blkio("io_service_bytes_recursive_bytes", "io service bytes recursive", "ioServiceBytesRecursive"),
  blkio("io_service_time_recursive_total", "io service time recursive", "ioServiceTimeRecursive"),
  blkio("io_serviced_recursive_total", "io serviced recursive", "ioServicedRecursive"),
  blkio("io_time_recursive_total", "io time recursive", "ioTimeRecursive"),
  blkio("sectors_recursive_total", "sectors recursive", "sectorsRecursive"),
];
