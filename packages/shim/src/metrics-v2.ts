/**
 * Statistics of a version 2 cgroup as `io.containerd.cgroups.v2.Metrics`.
 *
 * Files: Documentation/admin-guide/cgroup-v2.rst of the kernel. What a kernel doesn't account is left out.
 */

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { HugeTlbStat, IOEntry, MemoryStat, PSIStats } from "@hull/api/gen/cgroups/v2/metrics";
import { Metrics } from "@hull/api/gen/cgroups/v2/metrics";
import { keyValues, readText } from "./cgroup.ts";
import { rdmaEntries } from "./metrics-v1.ts";

const unlimited = 2n ** 64n - 1n;

/** The encoded message for the cgroup at `directory`. */
export function metricsV2(directory: string): Uint8Array {
  const has = (file: string): boolean => existsSync(join(directory, file));
  const metrics = Metrics.fromPartial({});
  if (has("pids.current")) {
    metrics.pids = { current: number(directory, "pids.current"), limit: number(directory, "pids.max") };
  }
  metrics.cpu = cpuStat(directory);
  if (has("memory.current")) {
    metrics.memory = memoryStat(directory);
    metrics.memoryEvents = memoryEvents(directory);
  }
  // There with or without the controller: containerd's own shim sends it so.
  metrics.rdma = { current: rdmaEntries(directory, "rdma.current"), limit: rdmaEntries(directory, "rdma.max") };
  if (has("io.stat"))
    metrics.io = { usage: ioEntries(readText(join(directory, "io.stat"))), psi: pressure(directory, "io") };
  metrics.hugetlb = hugePages(directory);
  return Metrics.encode(metrics).finish();
}

/** A file's number; the highest there is for "max". */
function number(directory: string, file: string): bigint {
  const text = readText(join(directory, file)).trim();
  if (text === "max") return unlimited;
  return /^\d+$/.test(text) ? BigInt(text) : 0n;
}

function cpuStat(directory: string) {
  const stat = keyValues(readText(join(directory, "cpu.stat")));
  const of = (key: string): bigint => stat.get(key) ?? 0n;
  return {
    usageUsec: of("usage_usec"),
    userUsec: of("user_usec"),
    systemUsec: of("system_usec"),
    nrPeriods: of("nr_periods"),
    nrThrottled: of("nr_throttled"),
    throttledUsec: of("throttled_usec"),
    psi: pressure(directory, "cpu"),
    nrBursts: of("nr_bursts"),
    burstUsec: of("burst_usec"),
  };
}

function memoryStat(directory: string): MemoryStat {
  const stat = keyValues(readText(join(directory, "memory.stat")));
  const of = (key: string): bigint => stat.get(key) ?? 0n;
  return {
    anon: of("anon"),
    file: of("file"),
    kernelStack: of("kernel_stack"),
    slab: of("slab"),
    sock: of("sock"),
    shmem: of("shmem"),
    fileMapped: of("file_mapped"),
    fileDirty: of("file_dirty"),
    fileWriteback: of("file_writeback"),
    anonThp: of("anon_thp"),
    inactiveAnon: of("inactive_anon"),
    activeAnon: of("active_anon"),
    inactiveFile: of("inactive_file"),
    activeFile: of("active_file"),
    unevictable: of("unevictable"),
    slabReclaimable: of("slab_reclaimable"),
    slabUnreclaimable: of("slab_unreclaimable"),
    pgfault: of("pgfault"),
    pgmajfault: of("pgmajfault"),
    workingsetRefault: of("workingset_refault"),
    workingsetActivate: of("workingset_activate"),
    workingsetNodereclaim: of("workingset_nodereclaim"),
    pgrefill: of("pgrefill"),
    pgscan: of("pgscan"),
    pgsteal: of("pgsteal"),
    pgactivate: of("pgactivate"),
    pgdeactivate: of("pgdeactivate"),
    pglazyfree: of("pglazyfree"),
    pglazyfreed: of("pglazyfreed"),
    thpFaultAlloc: of("thp_fault_alloc"),
    thpCollapseAlloc: of("thp_collapse_alloc"),
    usage: number(directory, "memory.current"),
    usageLimit: number(directory, "memory.max"),
    swapUsage: number(directory, "memory.swap.current"),
    swapLimit: number(directory, "memory.swap.max"),
    maxUsage: number(directory, "memory.peak"),
    swapMaxUsage: number(directory, "memory.swap.peak"),
    psi: pressure(directory, "memory"),
  };
}

function memoryEvents(directory: string) {
  const events = keyValues(readText(join(directory, "memory.events")));
  const of = (key: string): bigint => events.get(key) ?? 0n;
  return {
    low: of("low"),
    high: of("high"),
    max: of("max"),
    oom: of("oom"),
    oomKill: of("oom_kill"),
    oomGroupKill: of("oom_group_kill"),
  };
}

/** Lines of `major:minor rbytes=… wbytes=… rios=… wios=… …`. */
export function ioEntries(text: string): IOEntry[] {
  return text.split("\n").flatMap((line) => {
    const [, major, minor, rest] = /^(\d+):(\d+) (.*)$/.exec(line) ?? [];
    if (major === undefined || minor === undefined || rest === undefined) return [];
    const of = (key: string): bigint => BigInt(new RegExp(`(?:^| )${key}=(\\d+)`).exec(rest)?.[1] ?? 0);
    const counters = { rbytes: of("rbytes"), wbytes: of("wbytes"), rios: of("rios"), wios: of("wios") };
    return [{ major: BigInt(major), minor: BigInt(minor), ...counters }];
  });
}

/** Pressure stall information: Documentation/accounting/psi.rst. */
function pressure(directory: string, resource: string): PSIStats | undefined {
  const text = readText(join(directory, `${resource}.pressure`));
  if (text === "") return undefined;
  return { some: pressureLine(text, "some"), full: pressureLine(text, "full") };
}

function pressureLine(text: string, kind: string) {
  const line = new RegExp(`^${kind} avg10=([\\d.]+) avg60=([\\d.]+) avg300=([\\d.]+) total=(\\d+)$`, "m").exec(text);
  if (line === null) return undefined;
  const [, avg10, avg60, avg300, total] = line;
  return { avg10: Number(avg10), avg60: Number(avg60), avg300: Number(avg300), total: BigInt(total ?? 0) };
}

function hugePages(directory: string): HugeTlbStat[] {
  return filesOf(directory)
    .flatMap((file) => /^hugetlb\.([^.]+)\.current$/.exec(file)?.[1] ?? [])
    .map((pagesize) => ({
      current: number(directory, `hugetlb.${pagesize}.current`),
      max: number(directory, `hugetlb.${pagesize}.max`),
      pagesize,
      failcnt: keyValues(readText(join(directory, `hugetlb.${pagesize}.events`))).get("max") ?? 0n,
    }));
}

function filesOf(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return []; // removed meanwhile
  }
}
