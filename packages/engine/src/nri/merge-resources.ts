import { Field, LinuxCPU, LinuxMemory, LinuxResources } from "@hull/api/gen/nri/v1alpha1/nri";
import type { Owners } from "./owners.ts";

const memoryFields = {
  limit: Field.MemLimit,
  reservation: Field.MemReservation,
  swap: Field.MemSwapLimit,
  kernel: Field.MemKernelLimit,
  kernelTcp: Field.MemTCPLimit,
  swappiness: Field.MemSwappiness,
  disableOomKiller: Field.MemDisableOomKiller,
  useHierarchy: Field.MemUseHierarchy,
} as const satisfies Record<keyof LinuxMemory, Field>;

const cpuFields = {
  shares: Field.CPUShares,
  quota: Field.CPUQuota,
  period: Field.CPUPeriod,
  realtimeRuntime: Field.CPURealtimeRuntime,
  realtimePeriod: Field.CPURealtimePeriod,
  cpus: Field.CPUSetCPUs,
  mems: Field.CPUSetMems,
} as const satisfies Record<keyof LinuxCPU, Field>;

/**
 * Resources with what a plugin wants of them; those that it leaves open stay.
 * @throws InvalidArgument if another plugin has set the same
 */
export function mergeResources(
  base: LinuxResources,
  wanted: LinuxResources,
  { owners, container, plugin }: { owners: Owners; container: string; plugin: string },
): LinuxResources {
  const claim = (field: Field, key?: string): void => owners.claim(container, plugin, field, key);
  const memory = given(wanted.memory, memoryFields, claim);
  const cpu = given(wanted.cpu, cpuFields, claim);
  for (const { pageSize } of wanted.hugepageLimits) claim(Field.HugepageLimits, pageSize);
  for (const key of Object.keys(wanted.unified)) claim(Field.CgroupsUnified, key);
  if (wanted.blockioClass !== undefined) claim(Field.BlockioClass);
  if (wanted.rdtClass !== undefined) claim(Field.RdtClass);
  if (wanted.pids !== undefined) claim(Field.PidsLimit);
  return {
    memory: LinuxMemory.fromPartial({ ...base.memory, ...memory }),
    cpu: LinuxCPU.fromPartial({ ...base.cpu, ...cpu }),
    hugepageLimits: [...base.hugepageLimits, ...wanted.hugepageLimits],
    unified: { ...base.unified, ...wanted.unified },
    devices: [...base.devices, ...wanted.devices],
    blockioClass: wanted.blockioClass ?? base.blockioClass,
    rdtClass: wanted.rdtClass ?? base.rdtClass,
    pids: wanted.pids ?? base.pids,
  };
}

/** What is set of a message, each field claimed. An empty text counts as not set. */
function given<T extends object>(
  value: T | undefined,
  fields: Readonly<Record<keyof T & string, Field>>,
  claim: (field: Field) => void,
): Partial<T> {
  const set = Object.entries(value ?? {}).filter(([, item]) => item !== undefined && item !== "");
  for (const [name] of set) claim(fields[name as keyof T & string]);
  return Object.fromEntries(set) as Partial<T>;
}

export const noResources = (): LinuxResources => LinuxResources.fromPartial({ memory: {}, cpu: {} });
