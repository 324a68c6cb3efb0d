/** Metrics of what a control group's files say. */

import { readlinkSync } from "node:fs";
import { basename } from "node:path";
import type { BlockEntry, CgroupStats } from "@hull/sys/cgroup-stats";
import { isErrno } from "@hull/sys/errno";
import { workingSetOf } from "../stats/messages.ts";
import { less, type Pressure, type Pressures } from "../stats/usage.ts";
import { cpu, disk, type Family, hugePages, memory, pressure, type Value } from "./families.ts";

const second = 1_000_000_000n;

export function cpuMetrics({ cpu: stats }: CgroupStats): Value[] {
  if (stats === undefined) return [];
  return [
    [cpu.usage, stats.totalNs / second],
    [cpu.user, stats.userNs / second],
    [cpu.system, stats.systemNs / second],
    [cpu.periods, stats.periods],
    [cpu.throttledPeriods, stats.throttledPeriods],
    [cpu.throttled, stats.throttledNs / second],
  ];
}

export function memoryMetrics({ version, memory: stats }: CgroupStats): Value[] {
  if (stats === undefined) return [];
  const { usage, swap, stat } = stats;
  // Version 1 tells the group's own pages by these names, and those of all below with "total_" before.
  const all = (first: string, second: string): bigint => stat[version === 1 ? `total_${first}` : second] ?? 0n;
  const inactiveFile = all("inactive_file", "inactive_file");
  // Version 1 counts memory and swap together.
  const swapped = version === 1 ? (stat.total_swap ?? less(swap?.usage ?? 0n, usage)) : (swap?.usage ?? 0n);
  const kernel = version === 1 ? stats.kernel?.usage : (stat.kernel ?? stat.kernel_stack);
  return [
    [memory.usage, usage],
    [memory.workingSet, workingSetOf({ usage, inactiveFile })],
    [memory.max, stats.max],
    [memory.rss, all("rss", "anon")],
    [memory.cache, all("cache", "file")],
    [memory.mapped, all("mapped_file", "file_mapped")],
    [memory.activeFile, all("active_file", "active_file")],
    [memory.inactiveFile, inactiveFile],
    [memory.faults, all("pgfault", "pgfault"), "pgfault", "container"],
    [memory.faults, all("pgmajfault", "pgmajfault"), "pgmajfault", "container"],
    [memory.kernel, kernel ?? 0n],
    [memory.swap, swapped],
    [memory.failures, stats.failures],
    [memory.oomKills, stats.events.oom_kill ?? 0n],
  ];
}

export function hugePageMetrics(stats: CgroupStats): Value[] {
  return stats.hugePages.flatMap(({ size, usage, max }): Value[] => [
    [hugePages.usage, usage, size],
    // Version 2 has the limit there, and no highest use.
    ...(stats.version === 1 ? [[hugePages.max, max, size] satisfies Value] : []),
  ]);
}

export const pressureMetrics = ({ cpu, memory, io }: Pressures): Value[] => [
  ...waits(cpu, pressure.cpuWaiting, pressure.cpuStalled),
  ...waits(memory, pressure.memoryWaiting, pressure.memoryStalled),
  ...waits(io, pressure.ioWaiting, pressure.ioStalled),
];

function waits(told: Pressure | undefined, waiting: Family, stalled: Family): Value[] {
  if (told === undefined) return [];
  return [
    [waiting, told.some.totalNs / second],
    [stalled, (told.full?.totalNs ?? 0n) / second],
  ];
}

/** What an entry's operation counts: version 1 has it by file, version 2 by the name. */
const operations: Readonly<Record<string, { bytes: Family; count: Family; name: string }>> = {
  Read: { bytes: disk.readBytes, count: disk.reads, name: "Read" },
  Write: { bytes: disk.writtenBytes, count: disk.writes, name: "Write" },
  rbytes: { bytes: disk.readBytes, count: disk.reads, name: "Read" },
  wbytes: { bytes: disk.writtenBytes, count: disk.writes, name: "Write" },
  rios: { bytes: disk.readBytes, count: disk.reads, name: "Read" },
  wios: { bytes: disk.writtenBytes, count: disk.writes, name: "Write" },
};

export function diskMetrics({ blocks = {} }: CgroupStats): Value[] {
  const { io_service_bytes: bytes = [], io_serviced: counts = [], "io.stat": both = [] } = blocks;
  return [
    ...bytes.flatMap(bytesMetrics),
    ...both.filter(({ operation }) => operation.endsWith("bytes")).flatMap(bytesMetrics),
    ...counts.flatMap(countMetrics),
    ...both.filter(({ operation }) => operation.endsWith("ios")).flatMap(countMetrics),
  ];
}

function bytesMetrics({ major, minor, operation, value }: BlockEntry): Value[] {
  const device = deviceName(major, minor);
  const known = operations[operation];
  const use: Value = [disk.usage, value, device, String(major), String(minor), known?.name ?? operation];
  return known === undefined ? [use] : [use, [known.bytes, value, device]];
}

function countMetrics({ major, minor, operation, value }: BlockEntry): Value[] {
  const known = operations[operation];
  return known === undefined ? [] : [[known.count, value, deviceName(major, minor)]];
}

/** `/dev/vda`, or the numbers of what is no device with a name. */
function deviceName(major: bigint, minor: bigint): string {
  try {
    return `/dev/${basename(readlinkSync(`/sys/dev/block/${major}:${minor}`))}`;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return `${major}:${minor}`;
    throw error;
  }
}
