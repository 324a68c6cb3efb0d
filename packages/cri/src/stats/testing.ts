/** Pods and containers in stores, for the tests of what they use. */

import { ContainerConfig, PodSandboxConfig } from "@hull/api/gen/cri/v1/cri";
import { nowNanos } from "@hull/api/timestamp";
import type { Pod, PodContainer } from "../model.ts";
import { PodContainerStore, PodStore } from "../stores/index.ts";
import type { Groups } from "./groups.ts";
import { Stats, type StatsOptions } from "./index.ts";
import { Layers } from "./layers.ts";

export function pod(id: string, options: Partial<Pod> & { cgroupParent?: string } = {}): Pod {
  const { cgroupParent = "", ...rest } = options;
  const config = PodSandboxConfig.fromPartial({
    metadata: { name: `name-${id}`, namespace: "space", uid: id, attempt: 0 },
    labels: { pod: id },
    linux: { cgroupParent },
  });
  return {
    id,
    name: `name-${id}_space_${id}_0`,
    config,
    runtimeHandler: "",
    createdAt: nowNanos(),
    state: "ready",
    namespaces: {},
    network: { ip: "", additionalIps: [] },
    processLabel: "",
    ...rest,
  };
}

export function container(id: string, podId: string, status: Partial<PodContainer["status"]> = {}): PodContainer {
  return {
    id,
    name: `${id}_name-${podId}_space_${podId}_0`,
    podId,
    config: ContainerConfig.fromPartial({
      metadata: { name: id, attempt: 0 },
      image: { image: "sha256:1", userSpecifiedImage: "busybox:1" },
      labels: { container: id },
    }),
    imageId: "sha256:1",
    logPath: "",
    stopSignal: "SIGTERM",
    processLabel: "",
    mounts: [],
    user: undefined,
    place: { cgroupsPath: `/${podId}/${id}`, snapshotter: "overlayfs", snapshotKey: id },
    status: {
      state: "running",
      createdAt: nowNanos(),
      startedAt: nowNanos(),
      finishedAt: 0n,
      pid: process.pid,
      exitCode: 0,
      reason: "",
      message: "",
      resources: undefined,
      starting: false,
      removing: false,
      ...status,
    },
  };
}

/** Stats over the pods and containers given; each container's group is `/<pod>/<container>`. */
export function statsOver(
  pods: readonly Pod[],
  containers: readonly PodContainer[],
  options: Partial<StatsOptions> & { groups?: Groups } = {},
) {
  const stores = { pods: new PodStore(), containers: new PodContainerStore() };
  for (const each of pods) stores.pods.add(each);
  for (const each of containers) stores.containers.add(each);
  const stats = new Stats({
    ...stores,
    cgroupOf: ({ place }) => place.cgroupsPath,
    layers: new Layers({
      period: 10_000,
      now: nowNanos,
      look: async () => ({ bytes: 4096n, inodes: 2n }),
      onError: () => {},
    }),
    layerDirectory: () => "/",
    period: 1000,
    retention: 120_000,
    warn: () => {},
    ...options,
  });
  return { stats, ...stores };
}
