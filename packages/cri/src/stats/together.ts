import type { Nanoseconds } from "@hull/engine/labels";
import type { MemoryUse, Use } from "./usage.ts";

/** What several groups use together, for a pod that has no group around them. Pressure doesn't add up, and is left out. */
export function together(uses: readonly Use[], at: Nanoseconds): Use {
  const memories = uses.flatMap(({ memory }) => memory ?? []);
  return {
    at,
    cpuNs: sum(uses, ({ cpuNs }) => cpuNs),
    cpuPressure: undefined,
    memory: memoriesTogether(memories),
    tasks: sum(uses, ({ tasks }) => tasks),
    ioPressure: undefined,
  };
}

function memoriesTogether(memories: readonly MemoryUse[]): MemoryUse {
  const of = (pick: (memory: MemoryUse) => bigint): bigint => sum(memories, pick);
  /** Together they are limited only if each is. */
  const limit = (pick: (memory: MemoryUse) => bigint | undefined): bigint | undefined =>
    memories.length === 0 || memories.some((memory) => pick(memory) === undefined) ? undefined : sum(memories, pick);
  return {
    usage: of(({ usage }) => usage),
    limit: limit(({ limit }) => limit),
    inactiveFile: of(({ inactiveFile }) => inactiveFile),
    rss: of(({ rss }) => rss),
    pageFaults: of(({ pageFaults }) => pageFaults),
    majorPageFaults: of(({ majorPageFaults }) => majorPageFaults),
    swap: of(({ swap }) => swap),
    swapLimit: limit(({ swapLimit }) => swapLimit),
    pressure: undefined,
  };
}

function sum<T>(values: readonly T[], pick: (value: T) => bigint | undefined): bigint {
  return values.reduce((total, value) => total + (pick(value) ?? 0n), 0n);
}
