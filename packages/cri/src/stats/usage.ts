/**
 * What a control group uses, as the kubelet asks for it every ten seconds of every container: few files, read by `SmallFiles`.
 *
 * Formats: the kernel's Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/{cpuacct,memory,pids}.rst and accounting/psi.rst.
 */

import { nowNanos } from "@hull/api/timestamp";
import type { Nanoseconds } from "@hull/engine/labels";
import { type Directory, type FileName, fileName, type SmallFiles } from "@hull/sys/small-file";
import type { Group } from "./groups.ts";

/** Time that tasks waited for a resource. */
export interface Pressure {
  readonly some: PressureLine;
  /** Missing where the kernel doesn't tell (processors before Linux 5.13). */
  readonly full: PressureLine | undefined;
}

/** Percents over 10, 60 and 300 seconds, and all in all. */
export interface PressureLine {
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
  readonly totalNs: bigint;
}

/** By resource; missing where the kernel doesn't tell. */
export interface Pressures {
  readonly cpu?: Pressure;
  readonly memory?: Pressure;
  readonly io?: Pressure;
}

/** Sizes in bytes. A limit that isn't set is undefined. */
export interface MemoryUse {
  readonly usage: bigint;
  readonly limit: bigint | undefined;
  readonly inactiveFile: bigint;
  readonly rss: bigint;
  readonly pageFaults: bigint;
  readonly majorPageFaults: bigint;
  readonly swap: bigint;
  readonly swapLimit: bigint | undefined;
  readonly pressure: Pressure | undefined;
}

/** One look at a group. What has no controller is undefined. */
export interface Use {
  readonly at: Nanoseconds;
  readonly cpuNs: bigint | undefined;
  readonly cpuPressure: Pressure | undefined;
  readonly memory: MemoryUse | undefined;
  readonly tasks: bigint | undefined;
  readonly ioPressure: Pressure | undefined;
}

const file = {
  cpuacctUsage: fileName("cpuacct.usage"),
  cpuStat: fileName("cpu.stat"),
  cpuPressure: fileName("cpu.pressure"),
  memoryUsage: fileName("memory.usage_in_bytes"),
  memoryLimit: fileName("memory.limit_in_bytes"),
  memoryCurrent: fileName("memory.current"),
  memoryMax: fileName("memory.max"),
  memoryStat: fileName("memory.stat"),
  memoryPressure: fileName("memory.pressure"),
  swapCurrent: fileName("memory.swap.current"),
  swapMax: fileName("memory.swap.max"),
  pids: fileName("pids.current"),
  ioPressure: fileName("io.pressure"),
};

/** From where on a limit is none: the kernel rounds the highest one of version 1 down to a page. */
const noLimit = 1n << 62n;

/** Looks at a group; at its count of tasks only if that is wanted. Undefined if it is gone. */
export function useOf(files: SmallFiles, group: Group, wantsTasks: boolean): Use | undefined {
  const use = group.version === 1 ? useV1(files, group, wantsTasks) : useV2(files, group, wantsTasks);
  return use.cpuNs === undefined && use.memory === undefined && use.tasks === undefined ? undefined : use;
}

function useV1(files: SmallFiles, { cpuacct, memory, pids }: Group, wantsTasks: boolean): Use {
  return {
    // The time belongs to the processor's count, from which rates are made.
    at: nowNanos(),
    cpuNs: cpuacct === undefined ? undefined : files.number(cpuacct, file.cpuacctUsage),
    cpuPressure: undefined,
    memory: memory === undefined ? undefined : memoryV1(files, memory),
    tasks: wantsTasks && pids !== undefined ? files.number(pids, file.pids) : undefined,
    ioPressure: undefined,
  };
}

function memoryV1(files: SmallFiles, directory: Directory): MemoryUse | undefined {
  const usage = files.number(directory, file.memoryUsage);
  const stat = files.text(directory, file.memoryStat);
  if (usage === undefined || stat === undefined) return undefined;
  const limit = limited(files.number(directory, file.memoryLimit));
  // Of memory and swap together. It is there only if the kernel counts swap (CONFIG_MEMCG_SWAP).
  const both = limited(numberOf(stat, "hierarchical_memsw_limit"));
  const memoryLimit = limited(numberOf(stat, "hierarchical_memory_limit"));
  return {
    usage,
    limit,
    inactiveFile: numberOf(stat, "total_inactive_file") ?? 0n,
    rss: numberOf(stat, "total_rss") ?? 0n,
    pageFaults: numberOf(stat, "total_pgfault") ?? 0n,
    majorPageFaults: numberOf(stat, "total_pgmajfault") ?? 0n,
    swap: numberOf(stat, "total_swap") ?? 0n,
    swapLimit: both === undefined || memoryLimit === undefined ? undefined : less(both, memoryLimit),
    pressure: undefined,
  };
}

function useV2(files: SmallFiles, { cpu, memory, pids }: Group, wantsTasks: boolean): Use {
  const at = nowNanos();
  if (cpu === undefined || memory === undefined || pids === undefined)
    return { at, cpuNs: undefined, cpuPressure: undefined, memory: undefined, tasks: undefined, ioPressure: undefined };
  const micros = numberOf(files.text(cpu, file.cpuStat) ?? "", "usage_usec");
  return {
    at,
    cpuNs: micros === undefined ? undefined : micros * 1000n,
    cpuPressure: pressureIn(files.text(cpu, file.cpuPressure)),
    memory: memoryV2(files, memory),
    tasks: wantsTasks ? files.number(pids, file.pids) : undefined,
    ioPressure: pressureIn(files.text(cpu, file.ioPressure)),
  };
}

function memoryV2(files: SmallFiles, directory: Directory): MemoryUse | undefined {
  const usage = files.number(directory, file.memoryCurrent);
  const stat = files.text(directory, file.memoryStat);
  if (usage === undefined || stat === undefined) return undefined;
  return {
    usage,
    limit: limited(files.number(directory, file.memoryMax)),
    inactiveFile: numberOf(stat, "inactive_file") ?? 0n,
    rss: numberOf(stat, "anon") ?? 0n,
    pageFaults: numberOf(stat, "pgfault") ?? 0n,
    majorPageFaults: numberOf(stat, "pgmajfault") ?? 0n,
    swap: files.number(directory, file.swapCurrent) ?? 0n,
    swapLimit: limited(files.number(directory, file.swapMax)),
    pressure: pressureIn(files.text(directory, file.memoryPressure)),
  };
}

/** A limit, unless it is one that stands for none. */
export const limited = (limit: bigint | undefined): bigint | undefined =>
  limit === undefined || limit > noLimit ? undefined : limit;

/** What is left of a when b is taken from it; nothing if b is more. */
export const less = (a: bigint, b: bigint): bigint => (a > b ? a - b : 0n);

/** The number behind a name of a flat keyed file; undefined if it isn't there. */
export function numberOf(text: string, name: string): bigint | undefined {
  for (let at = text.indexOf(name); at !== -1; at = text.indexOf(name, at + 1)) {
    if (at > 0 && text[at - 1] !== "\n") continue;
    const from = at + name.length;
    if (text[from] !== " ") continue;
    const end = text.indexOf("\n", from);
    const digits = text.slice(from + 1, end === -1 ? undefined : end);
    if (!/^\d+$/.test(digits)) return undefined;
    const number = Number(digits);
    return BigInt(Number.isSafeInteger(number) ? number : digits);
  }
  return undefined;
}

/** How long tasks of a group waited; nothing with version 1. */
export function pressuresOf(files: SmallFiles, { version, cpu: directory }: Group): Pressures {
  if (version === 1 || directory === undefined) return {};
  const read = (name: FileName): Pressure | undefined => pressureIn(files.text(directory, name));
  return { cpu: read(file.cpuPressure), memory: read(file.memoryPressure), io: read(file.ioPressure) };
}

const pressureLine = /^(some|full) avg10=([\d.]+) avg60=([\d.]+) avg300=([\d.]+) total=(\d+)$/gm;

/** The pressure in a file's text; undefined for none (`psi=0`, an old kernel). */
export function pressureIn(text: string | undefined): Pressure | undefined {
  if (text === undefined) return undefined;
  const lines: Partial<Record<string, PressureLine>> = {};
  for (const [, kind = "", avg10, avg60, avg300, total = "0"] of text.matchAll(pressureLine)) {
    const averages = { avg10: Number(avg10), avg60: Number(avg60), avg300: Number(avg300) };
    lines[kind] = { ...averages, totalNs: BigInt(total) * 1000n };
  }
  return lines.some === undefined ? undefined : { some: lines.some, full: lines.full };
}
