/** Pods as the CRI's messages show them. */

import { PodSandbox, type PodSandboxFilter, PodSandboxState, PodSandboxStatus } from "@hull/api/gen/cri/v1/cri";
import type { Container } from "@hull/engine/containers/index";
import type { RuntimeHandler } from "../handlers.ts";
import type { Pod } from "../model.ts";
import { goJson } from "../records/index.ts";
import { pauseAnnotations } from "../spec/annotations.ts";
import { isNetworkClosed } from "./namespaces.ts";
import { podMetadata } from "./record.ts";

const stateOf = ({ state }: Pod): PodSandboxState =>
  state === "ready" ? PodSandboxState.SANDBOX_READY : PodSandboxState.SANDBOX_NOTREADY;

/** As an item of a list. */
export const listedPod = (pod: Pod): PodSandbox =>
  PodSandbox.fromPartial({
    id: pod.id,
    metadata: pod.config.metadata,
    state: stateOf(pod),
    createdAt: pod.createdAt,
    labels: pod.config.labels,
    annotations: pod.config.annotations,
    runtimeHandler: pod.runtimeHandler,
  });

/** With its addresses, while it has them. */
export function podStatus(pod: Pod): PodSandboxStatus {
  const { ip, additionalIps } = isNetworkClosed(pod.namespaces) ? { ip: "", additionalIps: [] } : pod.network;
  return PodSandboxStatus.fromPartial({
    id: pod.id,
    metadata: pod.config.metadata,
    state: stateOf(pod),
    createdAt: pod.createdAt,
    network: { ip, additionalIps: additionalIps.map((ip) => ({ ip })) },
    linux: { namespaces: { options: pod.config.linux?.securityContext?.namespaceOptions } },
    labels: pod.config.labels,
    annotations: pod.config.annotations,
    runtimeHandler: pod.runtimeHandler,
  });
}

/** Whether a filter lets a pod through; its `id` is a whole one. */
export function matchesPod(pod: Pod, filter: PodSandboxFilter | undefined): boolean {
  if (filter === undefined) return true;
  const { id, state, labelSelector } = filter;
  if (id !== "" && id !== pod.id) return false;
  if (state !== undefined && state.state !== stateOf(pod)) return false;
  return Object.entries(labelSelector).every(([key, value]) => pod.config.labels[key] === value);
}

/**
 * The verbose information: JSON with containerd's keys. `record` is that of the pause process, where there is one; without it, the spec
 * says what the pod's containers join.
 */
export function podInfo(
  pod: Pod,
  { handler, record, pid }: { handler: RuntimeHandler | undefined; record: Container | undefined; pid: number },
): string {
  const processes = pod.state === "ready" ? "running" : "deleted";
  const { overhead, resources } = pod.updated ?? {};
  return JSON.stringify({
    pid,
    processStatus: processes,
    netNamespaceClosed: pod.namespaces.net === undefined ? false : isNetworkClosed(pod.namespaces),
    image: record?.image ?? "",
    snapshotKey: record?.snapshotKey ?? "",
    snapshotter: record?.snapshotter ?? "",
    runtimeHandler: pod.runtimeHandler,
    runtimeType: handler?.runtime ?? "",
    runtimeOptions: handler === undefined ? null : handler.config.options,
    config: goJson(pod.config),
    runtimeSpec: record === undefined ? joinedSpec(pod) : JSON.parse(new TextDecoder().decode(record.spec.value)),
    cniResult: pod.network.result ?? null,
    sandboxMetadata: { Version: "v1", Metadata: podMetadata(pod) },
    ...(overhead === undefined ? {} : { overhead: { linux: goJson(overhead) } }),
    ...(resources === undefined ? {} : { resources: { linux: goJson(resources) } }),
  });
}

/** Names of the OCI runtime spec. */
const specNames = { net: "network", ipc: "ipc", uts: "uts", user: "user", pid: "pid" } as const;

const joinedSpec = (pod: Pod): unknown => ({
  ociVersion: "1.1.0",
  ...(pod.config.hostname === "" ? {} : { hostname: pod.config.hostname }),
  annotations: pauseAnnotations(pod.id, pod.config, ""),
  linux: {
    sysctl: pod.config.linux?.sysctls ?? {},
    namespaces: Object.entries(specNames).flatMap(([kind, type]) => {
      const path = pod.namespaces[kind as keyof typeof specNames];
      return path === undefined ? [] : [{ type, path }];
    }),
  },
});
