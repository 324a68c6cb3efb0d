/** Which namespaces a container joins: those of its pod, of another container, of the host, or its own. */

import { type IDMapping, NamespaceMode, type NamespaceOption, type UserNamespace } from "@hull/api/gen/cri/v1/cri";
import { failedPrecondition, unknown } from "@hull/errors";
import {
  buildSpec,
  type IdMapping,
  type NamespaceType,
  type SpecMiddleware,
  withHostNamespace,
  withNamespace,
  withUserNamespace,
} from "@hull/oci/spec";
import type { PodNamespaces } from "../model.ts";

const modeNames = new Map<number, string>(Object.entries(NamespaceMode).map(([name, mode]) => [mode, name]));
const quoted = (mode: NamespaceMode): string => JSON.stringify(modeNames.get(mode) ?? String(mode));

/** Ids of a user namespace. */
export interface IdMappings {
  readonly uids: readonly IdMapping[];
  readonly gids: readonly IdMapping[];
}

/** A mapping as specs have it. */
export const specMapping = ({ containerId, hostId, length }: IDMapping): IdMapping => ({
  containerID: containerId,
  hostID: hostId,
  size: length,
});

function oneMapping(kind: "UID" | "GID", mappings: readonly IDMapping[]): IdMapping[] {
  const wrong = (why: string) => unknown(`user namespace configuration: ${kind} mapping: ${why}`);
  const [first, ...others] = mappings;
  if (first === undefined) return [];
  if (others.length > 0) throw wrong(`only one mapping line supported, got ${mappings.length} mapping lines`);
  if (first.length < 1) throw wrong(`invalid mapping length: ${first.length}`);
  return [specMapping(first)];
}

/**
 * The ids that a pod's user namespace has; undefined if it has none of its own.
 * @throws Unknown, in containerd's words, for modes and mappings that can't be
 */
export function idMappingsOf(options: UserNamespace | undefined): IdMappings | undefined {
  if (options === undefined) return undefined;
  const uids = oneMapping("UID", options.uids);
  const gids = oneMapping("GID", options.gids);
  const wrong = (why: string) => unknown(`user namespace configuration: ${why}`);
  switch (options.mode) {
    case NamespaceMode.NODE:
      if (uids.length > 0 || gids.length > 0)
        throw wrong(
          `can't use user namespace mode "NODE" with mappings. Got ${uids.length} UID mappings and ${gids.length} GID mappings`,
        );
      return undefined;
    case NamespaceMode.POD:
      break;
    default:
      throw wrong(`unsupported user namespace mode: ${quoted(options.mode)}`);
  }
  if (uids.length === 0 || gids.length === 0)
    throw wrong(`can't use user namespace mode "POD" without UID and GID mappings`);
  // The OCI runtime would find out later, and say less.
  if (uids[0]?.containerID !== 0 || gids[0]?.containerID !== 0)
    throw wrong("the mappings must begin with id 0 of the container, as whom it is set up");
  if (uids[0].size !== gids[0].size)
    throw wrong(`the mappings must be of one length, but map ${uids[0].size} users and ${gids[0].size} groups`);
  return { uids, gids };
}

/** As the library that containerd uses writes a message. */
function goText(options: UserNamespace | undefined): string {
  if (options === undefined) return "nil";
  const list = (mappings: readonly IDMapping[]): string =>
    mappings
      .map(
        ({ hostId, containerId, length }) =>
          `&IDMapping{HostId:${hostId},ContainerId:${containerId},Length:${length},},`,
      )
      .join("");
  const { mode, uids, gids } = options;
  return `&UserNamespace{Mode:${modeNames.get(mode)},Uids:[]*IDMapping{${list(uids)}},Gids:[]*IDMapping{${list(gids)}},}`;
}

/** @throws Unknown unless container and pod agree on the user namespace; else its ids */
export function sharedIdMappings(
  pod: UserNamespace | undefined,
  container: UserNamespace | undefined,
): IdMappings | undefined {
  const mappings = idMappingsOf(container);
  const same = (pod === undefined) === (container === undefined) && pod?.mode === container?.mode;
  if (!same || JSON.stringify(idMappingsOf(pod)) !== JSON.stringify(mappings))
    throw unknown(
      `user namespace config for sandbox is different from container. Sandbox userns config: ${goText(pod)} - Container userns config: ${goText(container)}`,
    );
  return mappings;
}

const joined = (type: NamespaceType, path: string | undefined): SpecMiddleware =>
  path === undefined ? withHostNamespace(type) : withNamespace({ type, path });

/** Network, IPC, host name and user are the pod's, whatever the container says; only the pid namespace is its choice. */
export function containerNamespaces(
  { net, ipc, uts, user, pid }: PodNamespaces,
  options: {
    readonly container: NamespaceOption | undefined;
    readonly pod: NamespaceOption | undefined;
    readonly mappings: IdMappings | undefined;
    readonly targetPid: number | undefined;
  },
): SpecMiddleware {
  const { container, pod, mappings, targetPid } = options;
  const steps: SpecMiddleware[] = [joined("network", net), joined("ipc", ipc), joined("uts", uts)];
  const mode = container?.pid ?? NamespaceMode.POD;
  if (mode === NamespaceMode.TARGET) {
    if (targetPid === undefined) throw failedPrecondition("the target container of a pid namespace is not running");
    steps.push(withNamespace({ type: "pid", path: `/proc/${targetPid}/ns/pid` }));
  } else if (mode !== NamespaceMode.CONTAINER) {
    if (pid === undefined && (pod?.pid ?? NamespaceMode.POD) !== NamespaceMode.NODE)
      throw failedPrecondition(
        `the container asks for a pid namespace with mode ${quoted(mode)}, but the pod was made without one to share: ` +
          "give pod and container the same mode",
      );
    steps.push(joined("pid", pid));
  }
  if (mappings !== undefined) {
    steps.push(withUserNamespace(mappings.uids, mappings.gids));
    if (user !== undefined) steps.push(withNamespace({ type: "user", path: user }));
  }
  return (spec) => buildSpec(spec, ...steps);
}
