/**
 * cAdvisor's metrics of pods and containers, read when they are asked for.
 *
 * Where containerd's values are known to be wrong, these are right: processes and threads are counted apart, the highest use of memory is the
 * kernel's and not the limit, inodes are the file system's.
 */

import { statfsSync } from "node:fs";
import type { ContainerMetrics, Metric, PodSandboxMetrics } from "@hull/api/gen/cri/v1/cri";
import { nowNanos } from "@hull/api/timestamp";
import type { Nanoseconds } from "@hull/engine/labels";
import type { CgroupStats } from "@hull/sys/cgroup-stats";
import { isErrno } from "@hull/sys/errno";
import type { Pod, PodContainer } from "../model.ts";
import type { InterfaceUse } from "../stats/interfaces.ts";
import type { LayerUse } from "../stats/layers.ts";
import { limited, type Pressures } from "../stats/usage.ts";
import { cpuMetrics, diskMetrics, hugePageMetrics, memoryMetrics, pressureMetrics } from "./cgroup.ts";
import { type Family, fileSystem, network, processes, spec, times, type Value } from "./families.ts";
import type { ProcessUse } from "./processes.ts";

export interface ContainerInput {
  readonly pod: Pod;
  readonly container: PodContainer;
  readonly stats: CgroupStats;
  readonly pressures: Pressures;
  /** Undefined if they aren't this host's. */
  readonly processes: ProcessUse | undefined;
  readonly layer: LayerUse;
  /** A directory of the file system that the layer is on. */
  readonly directory: string;
}

const second = 1_000_000_000n;

/** A pod's own, without its containers'. */
export function podMetrics(pod: Pod, interfaces: readonly InterfaceUse[]): PodSandboxMetrics {
  const labels = commonLabels(pod, "", pod.id, "");
  return {
    podSandboxId: pod.id,
    metrics: messages(interfaces.flatMap(networkMetrics), labels, nowNanos()),
    containerMetrics: [],
  };
}

export function containerMetrics(input: ContainerInput): ContainerMetrics {
  const { pod, container, stats, pressures, layer, directory } = input;
  const at = nowNanos();
  const image = container.config.image?.userSpecifiedImage || (container.config.image?.image ?? "");
  const labels = commonLabels(pod, container.config.metadata?.name ?? "", container.id, image);
  const values: Value[] = [
    [times.lastSeen, at / second],
    [times.started, container.status.startedAt / second],
    ...cpuMetrics(stats),
    ...memoryMetrics(stats),
    ...hugePageMetrics(stats),
    ...pressureMetrics(pressures),
    ...diskMetrics(stats),
    ...fileSystemMetrics(directory, layer),
    ...specMetrics(container),
    ...threadMetrics(stats),
    ...processMetrics(input.processes),
  ];
  return { containerId: container.id, metrics: messages(values, labels, at) };
}

function commonLabels({ config }: Pod, container: string, id: string, image: string): string[] {
  return [config.metadata?.name ?? "", config.metadata?.namespace ?? "", container, id, image];
}

function messages(values: readonly Value[], common: readonly string[], at: Nanoseconds): Metric[] {
  return values.map(([{ name, type }, value, ...labels]) => ({
    name,
    timestamp: at,
    metricType: type,
    labelValues: [...common, ...labels],
    value: { value },
  }));
}

function networkMetrics({ name, received, sent }: InterfaceUse): Value[] {
  return [
    [network.receivedBytes, received.bytes, name],
    [network.receivedPackets, received.packets, name],
    [network.receivedDropped, received.dropped, name],
    [network.receivedErrors, received.errors, name],
    [network.sentBytes, sent.bytes, name],
    [network.sentPackets, sent.packets, name],
    [network.sentDropped, sent.dropped, name],
    [network.sentErrors, sent.errors, name],
  ];
}

function fileSystemMetrics(directory: string, layer: LayerUse): Value[] {
  // The container sees one file system, whatever device it is on.
  const device = "/";
  try {
    const { blocks, bsize, files, ffree } = statfsSync(directory, { bigint: true });
    return [
      [fileSystem.usage, layer.bytes, device],
      [fileSystem.limit, blocks * bsize, device],
      [fileSystem.inodes, files, device],
      [fileSystem.inodesFree, ffree, device],
    ];
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}

/** What was asked for, or updated to; what wasn't has no value. */
function specMetrics({ config, status }: PodContainer): Value[] {
  const resources = status.resources ?? config.linux?.resources;
  if (resources === undefined) return [];
  const { cpuPeriod, cpuQuota, cpuShares, memoryLimitInBytes, memorySwapLimitInBytes, unified } = resources;
  const low = unified["memory.low"] ?? "";
  const values: readonly (readonly [Family, bigint])[] = [
    [spec.cpuPeriod, cpuPeriod],
    [spec.cpuQuota, cpuQuota],
    [spec.cpuShares, cpuShares],
    [spec.memoryLimit, memoryLimitInBytes],
    [spec.memoryReservation, /^\d+$/.test(low) ? BigInt(low) : 0n],
    [spec.memorySwapLimit, memorySwapLimitInBytes],
  ];
  return values.filter(([, value]) => value > 0n);
}

function threadMetrics({ pids }: CgroupStats): Value[] {
  if (pids === undefined) return [];
  return [
    [processes.threads, pids.current],
    [processes.threadsMax, limited(pids.limit) ?? 0n],
  ];
}

function processMetrics(use: ProcessUse | undefined): Value[] {
  if (use === undefined) return [];
  const { count, files, sockets, openFilesLimit } = use;
  const limits: Value[] = openFilesLimit === undefined ? [] : [[processes.ulimits, openFilesLimit, "RLIMIT_NOFILE"]];
  return [
    [processes.count, BigInt(count)],
    [processes.files, BigInt(files)],
    [processes.sockets, BigInt(sockets)],
    ...limits,
  ];
}
