/**
 * Statistics of a version 1 cgroup as `io.containerd.cgroups.v1.Metrics`.
 *
 * Files: Documentation/admin-guide/cgroup-v1 of the kernel. What a kernel doesn't account is left out.
 */

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { BlkIOEntry, HugetlbStat, MemoryEntry, MemoryStat } from "@hull/api/gen/cgroups/v1/metrics";
import { Metrics } from "@hull/api/gen/cgroups/v1/metrics";
import { type CgroupPaths, keyValues, readText } from "./cgroup.ts";

/** The encoded message. */
export function metricsV1({ v1 }: CgroupPaths): Uint8Array {
  const at = (controller: string) => presentDirectory(v1.get(controller));
  const metrics = Metrics.fromPartial({});
  const pids = at("pids");
  if (pids) metrics.pids = { current: number(pids, "pids.current"), limit: number(pids, "pids.max") };
  const cpu = at("cpuacct") ?? at("cpu");
  if (cpu) metrics.cpu = { usage: cpuUsage(cpu), throttling: throttling(cpu) };
  const memory = at("memory");
  if (memory) {
    metrics.memory = memoryStat(memory);
    const control = keyValues(readText(join(memory, "memory.oom_control")));
    metrics.memoryOomControl = {
      oomKillDisable: control.get("oom_kill_disable") ?? 0n,
      underOom: control.get("under_oom") ?? 0n,
      oomKill: control.get("oom_kill") ?? 0n,
    };
  }
  const blkio = at("blkio");
  if (blkio) metrics.blkio = blockIo(blkio);
  const hugetlb = at("hugetlb");
  if (hugetlb) metrics.hugetlb = hugePages(hugetlb);
  const rdma = at("rdma");
  if (rdma) metrics.rdma = { current: rdmaEntries(rdma, "rdma.current"), limit: rdmaEntries(rdma, "rdma.max") };
  return Metrics.encode(metrics).finish();
}

function presentDirectory(path: string | undefined): string | undefined {
  return path !== undefined && existsSync(path) ? path : undefined;
}

/** A file's number; 0 for "max" and for a file that isn't there. */
function number(directory: string, file: string): bigint {
  const text = readText(join(directory, file)).trim();
  return /^\d+$/.test(text) ? BigInt(text) : 0n;
}

/** /proc counts in ticks of which userspace sees 100 a second, whatever the kernel's own are: times(2). */
const nanosecondsPerTick = 10_000_000n;

function cpuUsage(directory: string) {
  const ticks = keyValues(readText(join(directory, "cpuacct.stat")));
  return {
    total: number(directory, "cpuacct.usage"),
    user: (ticks.get("user") ?? 0n) * nanosecondsPerTick,
    kernel: (ticks.get("system") ?? 0n) * nanosecondsPerTick,
    perCpu: readText(join(directory, "cpuacct.usage_percpu")).trim().split(/\s+/).filter(Boolean).map(BigInt),
  };
}

function throttling(directory: string) {
  const stat = keyValues(readText(join(directory, "cpu.stat")));
  return {
    periods: stat.get("nr_periods") ?? 0n,
    throttledPeriods: stat.get("nr_throttled") ?? 0n,
    throttledTime: stat.get("throttled_time") ?? 0n,
  };
}

function memoryStat(directory: string): MemoryStat {
  const stat = keyValues(readText(join(directory, "memory.stat")));
  const of = (key: string): bigint => stat.get(key) ?? 0n;
  return {
    cache: of("cache"),
    rss: of("rss"),
    rssHuge: of("rss_huge"),
    mappedFile: of("mapped_file"),
    dirty: of("dirty"),
    writeback: of("writeback"),
    pgPgIn: of("pgpgin"),
    pgPgOut: of("pgpgout"),
    pgFault: of("pgfault"),
    pgMajFault: of("pgmajfault"),
    inactiveAnon: of("inactive_anon"),
    activeAnon: of("active_anon"),
    inactiveFile: of("inactive_file"),
    activeFile: of("active_file"),
    unevictable: of("unevictable"),
    hierarchicalMemoryLimit: of("hierarchical_memory_limit"),
    hierarchicalSwapLimit: of("hierarchical_memsw_limit"),
    totalCache: of("total_cache"),
    totalRss: of("total_rss"),
    totalRssHuge: of("total_rss_huge"),
    totalMappedFile: of("total_mapped_file"),
    totalDirty: of("total_dirty"),
    totalWriteback: of("total_writeback"),
    totalPgPgIn: of("total_pgpgin"),
    totalPgPgOut: of("total_pgpgout"),
    totalPgFault: of("total_pgfault"),
    totalPgMajFault: of("total_pgmajfault"),
    totalInactiveAnon: of("total_inactive_anon"),
    totalActiveAnon: of("total_active_anon"),
    totalInactiveFile: of("total_inactive_file"),
    totalActiveFile: of("total_active_file"),
    totalUnevictable: of("total_unevictable"),
    usage: memoryEntry(directory, "memory"),
    swap: memoryEntry(directory, "memory.memsw"),
    kernel: memoryEntry(directory, "memory.kmem"),
    kernelTcp: memoryEntry(directory, "memory.kmem.tcp"),
  };
}

function memoryEntry(directory: string, prefix: string): MemoryEntry | undefined {
  if (!existsSync(join(directory, `${prefix}.usage_in_bytes`))) return undefined;
  return {
    limit: number(directory, `${prefix}.limit_in_bytes`),
    usage: number(directory, `${prefix}.usage_in_bytes`),
    max: number(directory, `${prefix}.max_usage_in_bytes`),
    failcnt: number(directory, `${prefix}.failcnt`),
  };
}

function blockIo(directory: string) {
  const devices = deviceNames();
  const entries = (file: string): BlkIOEntry[] => blockEntries(readText(join(directory, file)), devices);
  const plain = (name: string): BlkIOEntry[] => entries(`blkio.${name}`);
  // Without a scheduler that accounts (bfq, formerly cfq) only the throttling layer has the figures.
  const scheduler = plain("io_serviced_recursive").length > 0;
  const counted = (name: string): BlkIOEntry[] => (scheduler ? plain(name) : entries(`blkio.throttle.${name}`));
  return {
    ioServiceBytesRecursive: counted(scheduler ? "io_service_bytes_recursive" : "io_service_bytes"),
    ioServicedRecursive: counted(scheduler ? "io_serviced_recursive" : "io_serviced"),
    ioQueuedRecursive: scheduler ? plain("io_queued_recursive") : [],
    ioServiceTimeRecursive: scheduler ? plain("io_service_time_recursive") : [],
    ioWaitTimeRecursive: scheduler ? plain("io_wait_time_recursive") : [],
    ioMergedRecursive: scheduler ? plain("io_merged_recursive") : [],
    ioTimeRecursive: scheduler ? plain("time_recursive") : [],
    sectorsRecursive: scheduler ? plain("sectors_recursive") : [],
  };
}

/** Lines of `major:minor operation value`, or without the operation; the line of the total is left out. */
function blockEntries(text: string, devices: ReadonlyMap<string, string>): BlkIOEntry[] {
  const entries: BlkIOEntry[] = [];
  for (const line of text.split("\n")) {
    const [, major, minor, op = "", value] = /^(\d+):(\d+) (?:(\w+) )?(\d+)$/.exec(line) ?? [];
    if (major === undefined || minor === undefined || value === undefined) continue;
    const device = devices.get(`${major}:${minor}`) ?? "";
    entries.push({ op, device, major: BigInt(major), minor: BigInt(minor), value: BigInt(value) });
  }
  return entries;
}

/** Block devices by `major:minor`. */
function deviceNames(): Map<string, string> {
  const names = new Map<string, string>();
  for (const line of readText("/proc/diskstats").split("\n")) {
    const [major, minor, name] = line.trim().split(/\s+/);
    if (name !== undefined) names.set(`${major}:${minor}`, `/dev/${name}`);
  }
  return names;
}

function hugePages(directory: string): HugetlbStat[] {
  return readdirSync(directory)
    .flatMap((file) => /^hugetlb\.([^.]+)\.usage_in_bytes$/.exec(file)?.[1] ?? [])
    .map((pagesize) => ({
      usage: number(directory, `hugetlb.${pagesize}.usage_in_bytes`),
      max: number(directory, `hugetlb.${pagesize}.max_usage_in_bytes`),
      failcnt: number(directory, `hugetlb.${pagesize}.failcnt`),
      pagesize,
    }));
}

/** Lines of `device hca_handle=N hca_object=N`; "max" is the highest number. */
export function rdmaEntries(directory: string, file: string) {
  const value = (text: string | undefined): number => (text === "max" ? 0xffffffff : Number(text ?? 0));
  return readText(join(directory, file))
    .split("\n")
    .flatMap((line) => {
      const [, device, handles, objects] = /^(\S+) hca_handle=(\d+|max) hca_object=(\d+|max)$/.exec(line) ?? [];
      return device === undefined ? [] : [{ device, hcaHandles: value(handles), hcaObjects: value(objects) }];
    });
}
