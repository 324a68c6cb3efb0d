/**
 * The namespaces that a pod's containers share. They need no process: each is pinned by a bind mount of its file, the network's where CNI
 * users look for it, the others below the pod's state directory.
 */

import { randomUUID } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { NamespaceMode, type PodSandboxConfig } from "@hull/api/gen/cri/v1/cri";
import { HullError, unknown } from "@hull/errors";
import { bringUp } from "@hull/sys/interface";
import {
  createNamespaces,
  createUserNamespaces,
  inNamespaces,
  isNamespace,
  type NamespacePaths,
  type ThreadNamespace,
  unpinNamespace,
} from "@hull/sys/namespace";
import type { CriRuntimeConfig } from "../config.ts";
import type { PodNamespaces } from "../model.ts";
import { type IdMappings, idMappingsOf } from "../spec/namespaces.ts";
import { podSysctls } from "../spec/pause.ts";
import type { PodDirectories } from "./directories.ts";
import { setMappedSysctls, setSysctls, sortSysctls } from "./sysctls.ts";

/** Namespaces that a pod is to have, before they are there. */
export interface NamespacePlan {
  /** Where those are to be that are pinned. */
  readonly paths: PodNamespaces;
  readonly mappings: IdMappings | undefined;
  readonly sysctls: ReturnType<typeof sortSysctls>;
  readonly hostname: string;
}

const modeOf = (config: PodSandboxConfig, kind: "network" | "ipc"): NamespaceMode =>
  config.linux?.securityContext?.namespaceOptions?.[kind] ?? NamespaceMode.POD;

/** Whether a pod is in the host's network. */
export const isHostNetwork = (config: PodSandboxConfig): boolean => modeOf(config, "network") === NamespaceMode.NODE;

/** Whether it uses the host's shared memory. */
export const isHostIpc = (config: PodSandboxConfig): boolean => modeOf(config, "ipc") === NamespaceMode.NODE;

/** Whether its containers are to see each other's processes. */
export const sharesPids = (config: PodSandboxConfig): boolean =>
  (config.linux?.securityContext?.namespaceOptions?.pid ?? NamespaceMode.POD) === NamespaceMode.POD;

/**
 * Decides about a pod's namespaces. With `networkOnly` those of IPC and host name are left to the pause process, which a foreign shim
 * wants to make them with.
 * @throws Unknown for what can't be: mappings, kernel parameters, a host name where the host's is shared
 */
export function planNamespaces(
  config: PodSandboxConfig,
  directories: PodDirectories,
  settings: CriRuntimeConfig,
  { networkOnly }: { networkOnly: boolean },
): NamespacePlan {
  const mappings = idMappingsOf(config.linux?.securityContext?.namespaceOptions?.usernsOptions);
  const net = !isHostNetwork(config);
  const ipc = !isHostIpc(config);
  if (!net && config.hostname !== "") throw unknown("unable to set hostname without a private UTS namespace");
  const sysctls = sortSysctls(podSysctls(config, settings), { net, ipc, uts: net });
  const pinned = (name: string): string => join(directories.pinned, name);
  return {
    paths: {
      ...(net ? { net: join(directories.netns, `cni-${randomUUID()}`) } : {}),
      ...(ipc && !networkOnly ? { ipc: pinned("ipc") } : {}),
      ...(net && !networkOnly ? { uts: pinned("uts") } : {}),
      ...(mappings === undefined ? {} : { user: pinned("user") }),
    },
    mappings,
    sysctls,
    hostname: config.hostname,
  };
}

/** Makes and pins what is planned, with the loopback interface up. If that fails nothing is left. */
export async function createPodNamespaces({ paths, mappings, sysctls, hostname }: NamespacePlan): Promise<void> {
  const { net, ipc, uts, user } = paths;
  const threads: NamespacePaths = {
    ...(net === undefined ? {} : { net }),
    ...(ipc === undefined ? {} : { ipc }),
    ...(uts === undefined ? {} : { uts }),
  };
  for (const path of [net, ipc, uts, user]) {
    if (path !== undefined) mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  }
  const prepare = (): void => {
    if (net !== undefined) bringUp("lo");
    if (uts !== undefined && hostname !== "") writeFileSync("/proc/sys/kernel/hostname", hostname);
  };
  const kinds = Object.keys(threads) as ThreadNamespace[];
  if (mappings === undefined || user === undefined) {
    if (kinds.length === 0) return;
    createNamespaces(threads, () => {
      prepare();
      for (const kind of kinds) setSysctls(sysctls[kind]);
    });
    return;
  }
  const ranges = (of: IdMappings["uids"]) =>
    of.map(({ containerID: inside, hostID: outside, size }) => ({ inside, outside, size }));
  createUserNamespaces({ uids: ranges(mappings.uids), gids: ranges(mappings.gids) }, user, threads);
  try {
    inNamespaces(threads, prepare);
    await setMappedSysctls(sysctls, paths);
  } catch (error) {
    releasePodNamespaces(paths);
    throw error;
  }
}

/** Lets go of them; what isn't there is fine. The kernel takes them down when no process is in them any more. */
export function releasePodNamespaces({ net, ipc, uts, user }: PodNamespaces): void {
  const failures: HullError[] = [];
  for (const path of [net, ipc, uts, user]) {
    // Those of a process are its own.
    if (path === undefined || path.startsWith("/proc/")) continue;
    try {
      unpinNamespace(path);
    } catch (error) {
      failures.push(HullError.from(error));
    }
  }
  const [first] = failures;
  if (first !== undefined) throw first;
}

/** Whether the network namespace of a pod that has one of its own is gone. */
export const isNetworkClosed = ({ net }: PodNamespaces): boolean => net === undefined || !isNamespace(net);
