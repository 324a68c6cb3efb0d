/**
 * Networks of pods, by CNI.
 *
 *   start ──► configurations loaded, their directories watched ──► add(pod) … remove(pod) … ──► close
 *
 * The directory `conf_dir` (and one for each runtime handler that names its own) holds the networks; a pod is attached to all of them, to
 * the first by `eth0`, whose addresses are the pod's. The network namespace is the caller's: it is there, with its loopback interface up,
 * before `add`, and may be gone before `remove`.
 *
 * What was added is kept in a file until it is removed (`@hull/cni`), so that removing works by the configuration of that time, after a
 * crash, and after the configuration is gone. The caller records the pod before `add`: `collect`, at the start, removes what belongs to
 * none of the pods that are recorded.
 */

import type { PodSandboxConfig } from "@hull/api/gen/cri/v1/cri";
import type { GoCniResult } from "./result.ts";

export { CniPodNetworks, type PodNetworksOptions } from "./cni.ts";
export type { GoCniResult } from "./result.ts";

/** What a network is told of a pod. */
export interface NetworkedPod {
  readonly id: string;
  readonly config: PodSandboxConfig;
  /** Of the pod's request, for its network configuration. */
  readonly runtimeHandler: string;
  /** Path of its network namespace; empty if that is gone. */
  readonly netns: string;
}

/** Where a pod is in its networks. */
export interface Attached {
  readonly ip: string;
  readonly additionalIps: readonly string[];
  readonly result: GoCniResult;
}

export interface PodNetworkManager {
  /** Loads the configurations, and reloads them whenever they change from now on. */
  start(): void;
  /** Why pods can't be attached now, in containerd's words; undefined if they can. */
  ready(signal?: AbortSignal): Promise<string | undefined>;
  /** @throws Unknown: no network is configured, or none gave an address; what a plugin says was wrong. The caller removes then. */
  add(pod: NetworkedPod, signal?: AbortSignal): Promise<Attached>;
  /**
   * Fine for a pod that isn't attached, or half. A plugin that isn't installed any more is left out; what it has is collected when it is
   * back. @throws what a plugin says was wrong
   */
  remove(pod: NetworkedPod, signal?: AbortSignal): Promise<void>;
  /** Removes what belongs to none of these pods. Failures are told in the log: what is left is tried again at the next start. */
  collect(podIds: ReadonlySet<string>): Promise<void>;
  /** Writes a configuration from `conf_template` for the node's address ranges, where there is no network yet. @throws Unknown */
  configure(podCidrs: string): Promise<void>;
  /** How the last load went by handler (`default`: the common one): `OK`, or what was wrong. */
  loadStatus(): Readonly<Record<string, string>>;
  /** The networks, as go-cni's `GetConfig` shows them. */
  describe(): unknown;
  close(): void;
}
