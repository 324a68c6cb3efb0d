/** What a container may use, and where its control group is. */

import type { LinuxContainerResources } from "@hull/api/gen/cri/v1/cri";
import { HugepageLimit, LinuxContainerResources as Message } from "@hull/api/gen/cri/v1/cri";
import { unknown } from "@hull/errors";
import type { Resources, Spec } from "@hull/oci/spec";
import type { CriRuntimeConfig } from "../config.ts";
import type { HostFacts } from "./input.ts";

/** JSON has no larger integers that every reader takes; and no memory is larger. */
const safe = (value: bigint): number => {
  const number = Number(value);
  return Math.max(Math.min(number, Number.MAX_SAFE_INTEGER), Number.MIN_SAFE_INTEGER);
};

type Settings = Pick<CriRuntimeConfig, "tolerate_missing_hugetlb_controller" | "disable_hugetlb_controller">;
type Controllers = Pick<HostFacts, "swapController" | "hugetlbController">;

/**
 * The limits as the OCI runtime takes them; zero and empty leave what there is. Memory without a limit for swap gets none, where swap can be
 * limited.
 * @throws Unknown for huge pages where their controller is missing and that isn't tolerated
 */
export function linuxResources(
  resources: LinuxContainerResources | undefined,
  settings: Settings,
  host: Controllers,
): Resources {
  if (resources === undefined) return {};
  const { cpuPeriod, cpuQuota, cpuShares, cpusetCpus, cpusetMems } = resources;
  const { memoryLimitInBytes: limit, memorySwapLimitInBytes: swap, hugepageLimits, unified } = resources;
  const swapLimit = swap === 0n ? limit : swap;
  return {
    cpu: {
      ...(cpuPeriod === 0n ? {} : { period: safe(cpuPeriod) }),
      ...(cpuQuota === 0n ? {} : { quota: safe(cpuQuota) }),
      ...(cpuShares === 0n ? {} : { shares: safe(cpuShares) }),
      ...(cpusetCpus === "" ? {} : { cpus: cpusetCpus }),
      ...(cpusetMems === "" ? {} : { mems: cpusetMems }),
    },
    memory: {
      ...(limit === 0n ? {} : { limit: safe(limit) }),
      ...(swapLimit === 0n || !host.swapController ? {} : { swap: safe(swapLimit) }),
    },
    ...hugepages(hugepageLimits, settings, host),
    ...(Object.keys(unified).length === 0 ? {} : { unified: { ...unified } }),
  };
}

function hugepages(limits: readonly HugepageLimit[], settings: Settings, host: Controllers): Resources {
  if (settings.disable_hugetlb_controller || limits.length === 0) return {};
  if (host.hugetlbController)
    return { hugepageLimits: limits.map(({ pageSize, limit }) => ({ pageSize, limit: safe(limit) })) };
  if (settings.tolerate_missing_hugetlb_controller) return {};
  throw unknown(
    "huge pages limits are specified but hugetlb cgroup controller is missing. " +
      "Please set tolerate_missing_hugetlb_controller to `true` to ignore this error",
  );
}

/** Limits over those of a spec: what isn't given stays. For updates. */
export function mergeResources(old: Resources, given: Resources): Resources {
  const pages = new Map(
    [...(old.hugepageLimits ?? []), ...(given.hugepageLimits ?? [])].map((one) => [one.pageSize, one]),
  );
  return {
    ...old,
    cpu: { ...old.cpu, ...given.cpu },
    memory: { ...old.memory, ...given.memory },
    ...(pages.size === 0 ? {} : { hugepageLimits: [...pages.values()] }),
    ...(given.unified === undefined ? {} : { unified: { ...old.unified, ...given.unified } }),
  };
}

/** A spec with limits changed as UpdateContainerResources asks. @throws as `linuxResources` */
export const withUpdatedResources = (
  spec: Spec,
  resources: LinuxContainerResources | undefined,
  settings: Settings,
  host: Controllers,
): Spec =>
  resources === undefined
    ? spec
    : {
        ...spec,
        linux: {
          ...spec.linux,
          resources: mergeResources(spec.linux.resources ?? {}, linuxResources(resources, settings, host)),
        },
      };

/** The limits of a spec as ContainerStatus shows them. */
export function resourcesOfSpec({ process, linux }: Spec): LinuxContainerResources {
  const { cpu = {}, memory = {}, hugepageLimits = [], unified = {} } = linux.resources ?? {};
  return Message.fromPartial({
    cpuPeriod: BigInt(cpu.period ?? 0),
    cpuQuota: BigInt(cpu.quota ?? 0),
    cpuShares: BigInt(cpu.shares ?? 0),
    cpusetCpus: cpu.cpus ?? "",
    cpusetMems: cpu.mems ?? "",
    memoryLimitInBytes: BigInt(memory.limit ?? 0),
    memorySwapLimitInBytes: BigInt(memory.swap ?? 0),
    oomScoreAdj: BigInt(process.oomScoreAdj ?? 0),
    hugepageLimits: hugepageLimits.map(({ pageSize, limit }) =>
      HugepageLimit.fromPartial({ pageSize, limit: BigInt(limit) }),
    ),
    unified,
  });
}

/** The score that a process can be given: not below this process's own where that is forbidden, by the configuration or by the host. */
export function oomScore(
  wanted: number,
  { restrict_oom_score_adj: restrict }: Pick<CriRuntimeConfig, "restrict_oom_score_adj">,
  { oomScore: { own, mayLower } }: Pick<HostFacts, "oomScore">,
): number {
  return (restrict || !mayLower) && wanted < own ? own : wanted;
}

/** Below the pod's: a path, or where systemd has the groups (the parent is a slice) `slice:prefix:name` for the OCI runtime. */
export function cgroupsPath(parent: string, id: string): string {
  const base = parent.replace(/\/+$/, "").split("/").at(-1) ?? "";
  if (base.endsWith(".slice")) return [base, "cri-containerd", id].join(":");
  return `${parent.replace(/\/+$/, "")}/${id}`;
}
