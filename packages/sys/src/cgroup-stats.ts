/**
 * What a control group has used: the kernel's files as plain numbers, the same names for both versions where the thing is
 * the same. Files: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/{memory,cpuacct,pids,blkio-controller}.rst.
 */

import { readdirSync } from "node:fs";
import type { Cgroup } from "./cgroup.ts";
import { isErrno } from "./errno.ts";
import { directoryName, type FileName, fileName, SmallFiles } from "./small-file.ts";

/** A limit that isn't set. */
export const unlimited = 2n ** 64n - 1n;

/** Numbers by name, as a flat keyed file has them. */
export type Table = Readonly<Record<string, bigint>>;

/** Bytes and operations of one device: `{ device: "8:0", operation: "read", value }`. */
export interface BlockEntry {
  readonly major: bigint;
  readonly minor: bigint;
  /** As the kernel calls it: "Read", "Write", … (v1); "rbytes", "wios", … (v2). */
  readonly operation: string;
  readonly value: bigint;
}

/** Processor time. Version 1 counts in nanoseconds; version 2 in microseconds, which are turned into nanoseconds here. */
export interface CpuStats {
  readonly totalNs: bigint;
  readonly userNs: bigint;
  readonly systemNs: bigint;
  readonly periods: bigint;
  readonly throttledPeriods: bigint;
  readonly throttledNs: bigint;
  /** By processor; version 1 only. */
  readonly perCpuNs: readonly bigint[];
}

/** Memory in bytes. */
export interface MemoryUsage {
  readonly usage: bigint;
  /** `unlimited` if there is none. */
  readonly limit: bigint;
  readonly max: bigint;
  /** How often the limit was hit. */
  readonly failures: bigint;
}

/** What one group has used. A part is absent if the controller is. */
export interface CgroupStats {
  readonly version: 1 | 2;
  readonly cpu?: CpuStats;
  readonly memory?: MemoryUsage & {
    /** Version 1: memory and swap together. Version 2: swap alone. */
    readonly swap?: MemoryUsage;
    /** Version 1 only. */
    readonly kernel?: MemoryUsage;
    readonly kernelTcp?: MemoryUsage;
    /** memory.stat. */
    readonly stat: Table;
    /** memory.events (version 2), or oom_kill and under_oom of memory.oom_control. */
    readonly events: Table;
  };
  readonly pids?: { readonly current: bigint; readonly limit: bigint };
  /** By file name without "_recursive": "io_service_bytes", "io_serviced" … (version 1); "io.stat" (version 2). */
  readonly blocks?: Readonly<Record<string, readonly BlockEntry[]>>;
  readonly hugePages: readonly {
    readonly size: string;
    readonly usage: bigint;
    readonly max: bigint;
    readonly failures: bigint;
  }[];
}

/** Reads all there is. A group that vanishes meanwhile leaves parts absent. */
export function cgroupStats(cgroup: Cgroup): CgroupStats {
  const { controllers, unified } = cgroup;
  if (Object.keys(controllers).some((name) => !name.startsWith("name="))) return statsV1(controllers);
  return unified === undefined ? { version: 1, hugePages: [] } : statsV2(unified);
}

function statsV1(controllers: Readonly<Record<string, string>>): CgroupStats {
  const { cpuacct, cpu, memory, pids, blkio, hugetlb } = controllers;
  return {
    version: 1,
    cpu: cpuacct === undefined ? undefined : cpuV1(cpuacct, cpu),
    memory: memory === undefined ? undefined : memoryV1(memory),
    pids: pids === undefined ? undefined : pidsOf(pids),
    blocks: blkio === undefined ? undefined : blocksV1(blkio),
    hugePages: hugetlb === undefined ? [] : hugePagesOf(hugetlb, "limit_in_bytes"),
  };
}

/** A clock tick of cpuacct.stat: USER_HZ is 100 on every processor we know. */
const tickNs = 10_000_000n;

function cpuV1(cpuacct: string, cpu: string | undefined): CpuStats | undefined {
  const totalNs = readValue(cpuacct, "cpuacct.usage");
  if (totalNs === undefined) return undefined;
  const stat = readTable(cpuacct, "cpuacct.stat");
  const throttling = cpu === undefined ? {} : readTable(cpu, "cpu.stat");
  return {
    totalNs,
    userNs: (stat.user ?? 0n) * tickNs,
    systemNs: (stat.system ?? 0n) * tickNs,
    periods: throttling.nr_periods ?? 0n,
    throttledPeriods: throttling.nr_throttled ?? 0n,
    throttledNs: throttling.throttled_time ?? 0n,
    perCpuNs: (readText(cpuacct, "cpuacct.usage_percpu") ?? "").split(/\s+/).flatMap((text) => numberIn(text) ?? []),
  };
}

function memoryV1(directory: string): CgroupStats["memory"] {
  const usage = (prefix: string): MemoryUsage | undefined => {
    const current = readValue(directory, `${prefix}.usage_in_bytes`);
    if (current === undefined) return undefined;
    return {
      usage: current,
      limit: readValue(directory, `${prefix}.limit_in_bytes`) ?? unlimited,
      max: readValue(directory, `${prefix}.max_usage_in_bytes`) ?? 0n,
      failures: readValue(directory, `${prefix}.failcnt`) ?? 0n,
    };
  };
  const memory = usage("memory");
  if (memory === undefined) return undefined;
  return {
    ...memory,
    swap: usage("memory.memsw"),
    kernel: usage("memory.kmem"),
    kernelTcp: usage("memory.kmem.tcp"),
    stat: readTable(directory, "memory.stat"),
    events: readTable(directory, "memory.oom_control"),
  };
}

const blkioFiles = [
  "io_service_bytes",
  "io_serviced",
  "io_queued",
  "io_service_time",
  "io_wait_time",
  "io_merged",
  "time",
  "sectors",
];

function blocksV1(directory: string): CgroupStats["blocks"] {
  const blocks: Record<string, BlockEntry[]> = {};
  for (const name of blkioFiles) {
    // Which of these exist depends on the disk scheduler; the throttling layer's are always there.
    for (const file of [`blkio.${name}_recursive`, `blkio.bfq.${name}_recursive`, `blkio.throttle.${name}_recursive`]) {
      const entries = parseBlkio(readText(directory, file) ?? "");
      if (entries.length > 0) blocks[name] ??= entries;
    }
  }
  return blocks;
}

function statsV2(directory: string): CgroupStats {
  const cpu = readTable(directory, "cpu.stat");
  return {
    version: 2,
    cpu: cpu.usage_usec === undefined ? undefined : cpuV2(cpu),
    memory: memoryV2(directory),
    pids: pidsOf(directory),
    blocks: { "io.stat": parseIoStat(readText(directory, "io.stat") ?? "") },
    hugePages: hugePagesOf(directory, "max"),
  };
}

function cpuV2(stat: Table): CpuStats {
  const ns = (name: string) => (stat[name] ?? 0n) * 1000n;
  return {
    totalNs: ns("usage_usec"),
    userNs: ns("user_usec"),
    systemNs: ns("system_usec"),
    periods: stat.nr_periods ?? 0n,
    throttledPeriods: stat.nr_throttled ?? 0n,
    throttledNs: ns("throttled_usec"),
    perCpuNs: [],
  };
}

function memoryV2(directory: string): CgroupStats["memory"] {
  const usage = (prefix: string): MemoryUsage | undefined => {
    const current = readValue(directory, `${prefix}.current`);
    if (current === undefined) return undefined;
    return {
      usage: current,
      limit: readValue(directory, `${prefix}.max`) ?? unlimited,
      max: readValue(directory, `${prefix}.peak`) ?? 0n,
      failures: readTable(directory, `${prefix}.events`).max ?? 0n,
    };
  };
  const memory = usage("memory");
  if (memory === undefined) return undefined;
  const [stat, events] = [readTable(directory, "memory.stat"), readTable(directory, "memory.events")];
  return { ...memory, swap: usage("memory.swap"), stat, events };
}

function pidsOf(directory: string): CgroupStats["pids"] {
  const current = readValue(directory, "pids.current");
  return current === undefined ? undefined : { current, limit: readValue(directory, "pids.max") ?? unlimited };
}

function hugePagesOf(directory: string, limit: "limit_in_bytes" | "max"): CgroupStats["hugePages"] {
  const version1 = limit === "limit_in_bytes";
  const suffix = version1 ? ".usage_in_bytes" : ".current";
  return namesIn(directory).flatMap((name) => {
    const size = /^hugetlb\.([^.]+)\./.exec(name)?.[1];
    if (size === undefined || name !== `hugetlb.${size}${suffix}`) return [];
    const at = (file: string) => readValue(directory, `hugetlb.${size}.${file}`) ?? 0n;
    return {
      size,
      usage: readValue(directory, name) ?? 0n,
      max: version1 ? at("max_usage_in_bytes") : at("max"),
      failures: version1 ? at("failcnt") : (readTable(directory, `hugetlb.${size}.events`).max ?? 0n),
    };
  });
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}

/** Lines of "name number"; other lines are left out. */
export function parseTable(text: string): Table {
  const table: Record<string, bigint> = {};
  for (const line of text.split("\n")) {
    const [name, value] = line.split(" ");
    const number = numberIn(value);
    if (name !== undefined && number !== undefined) table[name] = number;
  }
  return table;
}

/** Version 1: lines of "8:0 Read 4096", or "8:0 4096"; the last, "Total", is left out. */
export function parseBlkio(text: string): BlockEntry[] {
  return text.split("\n").flatMap((line) => {
    const [, major, minor, operation = "", digits] = /^(\d+):(\d+)(?: ([A-Za-z]+))? (\d+)$/.exec(line) ?? [];
    if (major === undefined || minor === undefined || digits === undefined) return [];
    return { major: BigInt(major), minor: BigInt(minor), operation, value: BigInt(digits) };
  });
}

/** Version 2: lines of "8:0 rbytes=4096 wbytes=0 rios=1 …". */
export function parseIoStat(text: string): BlockEntry[] {
  return text.split("\n").flatMap((line) => {
    const [, major, minor, rest] = /^(\d+):(\d+) (.*)$/.exec(line) ?? [];
    if (major === undefined || minor === undefined || rest === undefined) return [];
    return rest.split(" ").flatMap((pair) => {
      const [operation, digits] = pair.split("=");
      const value = numberIn(digits);
      if (operation === undefined || value === undefined) return [];
      return { major: BigInt(major), minor: BigInt(minor), operation, value };
    });
  });
}

function numberIn(text: string | undefined): bigint | undefined {
  if (text === "max") return unlimited;
  return text !== undefined && /^\d+$/.test(text) ? BigInt(text) : undefined;
}

const files = new SmallFiles();
const names = new Map<string, FileName>();

/** Undefined if there is none: files come and go with kernel options, controllers, and the group itself. */
function readText(directory: string, file: string): string | undefined {
  const name = names.get(file) ?? fileName(file);
  names.set(file, name);
  return files.text(directoryName(directory), name)?.trim();
}

/** A file of one number; `unlimited` for "max". */
export function readValue(directory: string, file: string): bigint | undefined {
  return numberIn(readText(directory, file));
}

/** A flat keyed file; empty if there is none. */
export function readTable(directory: string, file: string): Table {
  return parseTable(readText(directory, file) ?? "");
}
