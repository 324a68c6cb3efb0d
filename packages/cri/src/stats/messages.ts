/** Looks at control groups as the CRI's messages have them. */

import type {
  CpuUsage,
  IoUsage,
  MemoryUsage,
  NetworkInterfaceUsage,
  NetworkUsage,
  PsiData,
  PsiStats,
  SwapUsage,
} from "@hull/api/gen/cri/v1/cri";
import type { Nanoseconds } from "@hull/engine/labels";
import { type InterfaceUse, mainOf } from "./interfaces.ts";
import { less, type MemoryUse, type Pressure, type PressureLine, type Use } from "./usage.ts";

export function cpuMessage(use: Use, rate: bigint | undefined): CpuUsage | undefined {
  if (use.cpuNs === undefined) return undefined;
  return {
    timestamp: use.at,
    usageCoreNanoSeconds: { value: use.cpuNs },
    usageNanoCores: rate === undefined ? undefined : { value: rate },
    psi: pressureMessage(use.cpuPressure),
  };
}

export function memoryMessage({ at, memory }: Use): MemoryUsage | undefined {
  if (memory === undefined) return undefined;
  const workingSet = workingSetOf(memory);
  return {
    timestamp: at,
    workingSetBytes: { value: workingSet },
    // 0 without a limit.
    availableBytes: { value: memory.limit === undefined ? 0n : less(memory.limit, workingSet) },
    usageBytes: { value: memory.usage },
    rssBytes: { value: memory.rss },
    pageFaults: { value: memory.pageFaults },
    majorPageFaults: { value: memory.majorPageFaults },
    psi: pressureMessage(memory.pressure),
  };
}

/** What can't be taken from it without its noticing: all but the cache of files that it hasn't read lately. */
export const workingSetOf = ({ usage, inactiveFile }: Pick<MemoryUse, "usage" | "inactiveFile">): bigint =>
  less(usage, inactiveFile);

export function swapMessage({ at, memory }: Use): SwapUsage | undefined {
  if (memory === undefined) return undefined;
  const { swap, swapLimit } = memory;
  return {
    timestamp: at,
    swapAvailableBytes: swapLimit === undefined ? undefined : { value: less(swapLimit, swap) },
    swapUsageBytes: { value: swap },
  };
}

export function ioMessage({ at, ioPressure }: Use): IoUsage | undefined {
  return ioPressure === undefined ? undefined : { timestamp: at, psi: pressureMessage(ioPressure) };
}

function pressureMessage(pressure: Pressure | undefined): PsiStats | undefined {
  if (pressure === undefined) return undefined;
  return { Full: pressureLine(pressure.full), Some: pressureLine(pressure.some) };
}

function pressureLine(line: PressureLine | undefined): PsiData | undefined {
  if (line === undefined) return undefined;
  return { Total: line.totalNs, Avg10: line.avg10, Avg60: line.avg60, Avg300: line.avg300 };
}

export function networkMessage(at: Nanoseconds, interfaces: readonly InterfaceUse[]): NetworkUsage {
  const main = mainOf(interfaces);
  return {
    timestamp: at,
    defaultInterface: main === undefined ? undefined : interfaceMessage(main),
    interfaces: interfaces.map(interfaceMessage),
  };
}

function interfaceMessage({ name, received, sent }: InterfaceUse): NetworkInterfaceUsage {
  return {
    name,
    rxBytes: { value: received.bytes },
    rxErrors: { value: received.errors },
    txBytes: { value: sent.bytes },
    txErrors: { value: sent.errors },
  };
}
