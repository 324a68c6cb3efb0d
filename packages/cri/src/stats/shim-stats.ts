/**
 * What a shim tells of a container that no control group of this host stands for, such as one in a virtual machine: containerd's messages
 * `io.containerd.cgroups.v1.Metrics` and `.v2.Metrics`, as the files of such a group would say it.
 */

import { type BlkIOEntry, Metrics as Metrics1 } from "@hull/api/gen/cgroups/v1/metrics";
import { type IOEntry, Metrics as Metrics2, type PSIData, type PSIStats } from "@hull/api/gen/cgroups/v2/metrics";
import { decodeAny, isType } from "@hull/api/typeurl";
import type { Nanoseconds, TypedBytes } from "@hull/engine/labels";
import type { BlockEntry, CgroupStats } from "@hull/sys/cgroup-stats";
import { less, limited, type Pressure, type PressureLine, type Pressures, type Use } from "./usage.ts";

/** What was told. */
export interface ShimStats {
  readonly stats: CgroupStats;
  readonly pressures: Pressures;
}

const types = { v1: "io.containerd.cgroups.v1.Metrics", v2: "io.containerd.cgroups.v2.Metrics" } as const;

/** @throws InvalidArgument for another type of message */
export function shimStats(data: TypedBytes): ShimStats {
  if (!isType(data, types.v2)) return { stats: statsV1(decodeAny(data, types.v1, Metrics1)), pressures: {} };
  const metrics = decodeAny(data, types.v2, Metrics2);
  const { cpu, memory, io } = metrics;
  const pressures = { cpu: pressureOf(cpu?.psi), memory: pressureOf(memory?.psi), io: pressureOf(io?.psi) };
  return { stats: statsV2(metrics), pressures };
}

function statsV1({ cpu, memory, pids, blkio, hugetlb, memoryOomControl }: Metrics1): CgroupStats {
  const { usage, throttling } = cpu ?? {};
  return {
    version: 1,
    cpu: usage && {
      totalNs: usage.total,
      userNs: usage.user,
      systemNs: usage.kernel,
      periods: throttling?.periods ?? 0n,
      throttledPeriods: throttling?.throttledPeriods ?? 0n,
      throttledNs: throttling?.throttledTime ?? 0n,
      perCpuNs: usage.perCpu,
    },
    memory: memory && {
      ...memoryEntry(memory.usage),
      kernel: memory.kernel && memoryEntry(memory.kernel),
      stat: {
        total_rss: memory.totalRss,
        total_cache: memory.totalCache,
        total_mapped_file: memory.totalMappedFile,
        total_active_file: memory.totalActiveFile,
        total_inactive_file: memory.totalInactiveFile,
        total_pgfault: memory.totalPgFault,
        total_pgmajfault: memory.totalPgMajFault,
        // Memory and swap are counted together.
        total_swap: less(memory.swap?.usage ?? 0n, memory.usage?.usage ?? 0n),
      },
      events: { oom_kill: memoryOomControl?.oomKill ?? 0n },
    },
    pids,
    blocks: {
      io_service_bytes: (blkio?.ioServiceBytesRecursive ?? []).map(blockEntry),
      io_serviced: (blkio?.ioServicedRecursive ?? []).map(blockEntry),
    },
    hugePages: hugetlb.map(({ pagesize: size, usage, max, failcnt }) => ({ size, usage, max, failures: failcnt })),
  };
}

function memoryEntry(entry: { usage: bigint; limit: bigint; max: bigint; failcnt: bigint } | undefined) {
  const { usage = 0n, limit = 0n, max = 0n, failcnt = 0n } = entry ?? {};
  return { usage, limit, max, failures: failcnt };
}

const blockEntry = ({ major, minor, op, value }: BlkIOEntry): BlockEntry => ({ major, minor, operation: op, value });

function statsV2({ cpu, memory, pids, io, hugetlb, memoryEvents }: Metrics2): CgroupStats {
  return {
    version: 2,
    cpu: cpu && {
      totalNs: cpu.usageUsec * 1000n,
      userNs: cpu.userUsec * 1000n,
      systemNs: cpu.systemUsec * 1000n,
      periods: cpu.nrPeriods,
      throttledPeriods: cpu.nrThrottled,
      throttledNs: cpu.throttledUsec * 1000n,
      perCpuNs: [],
    },
    memory: memory && {
      usage: memory.usage,
      limit: memory.usageLimit,
      max: memory.maxUsage,
      failures: memoryEvents?.max ?? 0n,
      swap: { usage: memory.swapUsage, limit: memory.swapLimit, max: memory.swapMaxUsage, failures: 0n },
      stat: {
        anon: memory.anon,
        file: memory.file,
        file_mapped: memory.fileMapped,
        active_file: memory.activeFile,
        inactive_file: memory.inactiveFile,
        pgfault: memory.pgfault,
        pgmajfault: memory.pgmajfault,
        kernel_stack: memory.kernelStack,
      },
      events: { oom_kill: memoryEvents?.oomKill ?? 0n },
    },
    pids,
    blocks: { "io.stat": (io?.usage ?? []).flatMap(ioEntries) },
    hugePages: hugetlb.map(({ pagesize: size, current, max, failcnt }) => ({
      size,
      usage: current,
      max,
      failures: failcnt,
    })),
  };
}

const ioEntries = ({ major, minor, ...counts }: IOEntry): BlockEntry[] =>
  Object.entries(counts).map(([operation, value]) => ({ major, minor, operation, value }));

function pressureOf(psi: PSIStats | undefined): Pressure | undefined {
  const line = ({ total, ...averages }: PSIData): PressureLine => ({ ...averages, totalNs: total * 1000n });
  return psi?.some && { some: line(psi.some), full: psi.full && line(psi.full) };
}

/** The same as one look at a group. */
export function useOfShim({ stats, pressures }: ShimStats, at: Nanoseconds): Use {
  const { version, cpu, memory, pids } = stats;
  const stat = memory?.stat ?? {};
  const of = (first: string, second = first): bigint => stat[version === 1 ? `total_${first}` : second] ?? 0n;
  return {
    at,
    cpuNs: cpu?.totalNs,
    cpuPressure: pressures.cpu,
    memory: memory && {
      usage: memory.usage,
      limit: limited(memory.limit),
      inactiveFile: of("inactive_file"),
      rss: of("rss", "anon"),
      pageFaults: of("pgfault"),
      majorPageFaults: of("pgmajfault"),
      swap: version === 1 ? of("swap") : (memory.swap?.usage ?? 0n),
      swapLimit: limited(memory.swap?.limit),
      pressure: pressures.memory,
    },
    tasks: pids?.current,
    ioPressure: pressures.io,
  };
}
