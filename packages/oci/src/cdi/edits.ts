/** Applying CDI edits to a runtime spec (CDI specification, "OCI Edits"). */

import { invalidArgument } from "@hull/errors";
import { byDepth, withEnv } from "../spec/middlewares.ts";
import type { Device, Hooks, Spec, SpecMount } from "../spec/types.ts";
import type { CdiDeviceNode, ContainerEdits } from "./document.ts";

/** A device node of the host, or why it can't be looked at. */
export type HostDevice = Pick<Device, "type" | "major" | "minor" | "fileMode"> | { problem: string };

/** Several edits as one, in their order; of RDT settings the last ones count. */
export function joinEdits(all: readonly ContainerEdits[]): ContainerEdits {
  const rdt = all.findLast(({ intelRdt }) => intelRdt !== undefined)?.intelRdt;
  return {
    env: all.flatMap(({ env }) => env),
    deviceNodes: all.flatMap(({ deviceNodes }) => deviceNodes),
    netDevices: all.flatMap(({ netDevices }) => netDevices),
    mounts: all.flatMap(({ mounts }) => mounts),
    hooks: all.flatMap(({ hooks }) => hooks),
    additionalGids: all.flatMap(({ additionalGids }) => additionalGids),
    ...(rdt === undefined ? {} : { intelRdt: rdt }),
  };
}

/**
 * The spec with the edits applied; `hostDevice` looks at a path of the host for what a device node leaves open.
 * @throws InvalidArgument for a device node that is neither whole nor on the host
 */
export function applyEdits(spec: Spec, edits: ContainerEdits, hostDevice: (path: string) => HostDevice): Spec {
  const { process } = spec;
  const devices = edits.deviceNodes.map((node) => ({ node, device: deviceOf(node, spec, hostDevice) }));
  const paths = new Set(devices.map(({ device }) => device.path));
  const linux = { ...spec.linux };
  if (devices.length > 0) {
    // Of several nodes at a path the last one counts.
    const own = devices.filter(
      ({ device }, index) => devices.findLastIndex((other) => other.device.path === device.path) === index,
    );
    linux.devices = [
      ...(linux.devices ?? []).filter(({ path }) => !paths.has(path)),
      ...own.map(({ device }) => device),
    ];
    const rules = devices.flatMap(({ node, device }) => {
      if (device.type !== "b" && device.type !== "c") return [];
      const { type, major, minor } = device;
      const access = node.permissions === "none" ? "" : node.permissions || "rwm";
      return [{ allow: true, type, major, minor, ...(access === "" ? {} : { access }) }];
    });
    linux.resources = { ...linux.resources, devices: [...(linux.resources?.devices ?? []), ...rules] };
  }
  if (edits.netDevices.length > 0) {
    const added = edits.netDevices.map(({ hostInterfaceName, name }) => [hostInterfaceName, { name }] as const);
    linux.netDevices = { ...linux.netDevices, ...Object.fromEntries(added) };
  }
  if (edits.intelRdt !== undefined) linux.intelRdt = edits.intelRdt;
  const gids = edits.additionalGids.filter((gid) => gid !== 0);
  const user = gids.length === 0 ? process.user : withGids(process.user, gids);
  const changed: Spec = {
    ...spec,
    process: { ...process, user },
    linux,
    ...(edits.mounts.length === 0 ? {} : { mounts: mountsWith(spec, edits) }),
    ...(edits.hooks.length === 0 ? {} : { hooks: hooksWith(spec.hooks, edits) }),
  };
  return edits.env.length === 0 ? changed : withEnv(edits.env)(changed);
}

function withGids(user: Spec["process"]["user"], gids: readonly number[]): Spec["process"]["user"] {
  return { ...user, additionalGids: [...new Set([...(user.additionalGids ?? []), ...gids])] };
}

function deviceOf(node: CdiDeviceNode, { process }: Spec, hostDevice: (path: string) => HostDevice): Device {
  const { path, hostPath = path, uid, gid } = node;
  const whole = node.type !== undefined && ((node.major ?? 0) !== 0 || node.type === "p");
  const host = hostDevice(hostPath);
  if ("problem" in host) {
    if (!whole) throw invalidArgument(`failed to stat CDI host device "${hostPath}": ${host.problem}`);
    return { ...numbersOf(node, node.type), path, ...given({ fileMode: node.fileMode, ...owner(uid, gid, process) }) };
  }
  const type = node.type ?? host.type;
  if (!whole && type !== host.type)
    throw invalidArgument(`CDI device ("${path}", "${hostPath}"), host type mismatch (${type}, ${host.type})`);
  const own = (node.major ?? 0) !== 0 || type === "p";
  const numbers = own ? numbersOf(node, type) : { type, major: host.major, minor: host.minor };
  return { ...numbers, path, ...given({ fileMode: node.fileMode ?? host.fileMode, ...owner(uid, gid, process) }) };
}

const numbersOf = (node: CdiDeviceNode, type: Device["type"] = "c"): Pick<Device, "type" | "major" | "minor"> => ({
  type,
  major: node.major ?? 0,
  minor: node.minor ?? 0,
});

/** Unless the file says, a device belongs to whom the program runs as. */
function owner(
  uid: number | undefined,
  gid: number | undefined,
  { user }: Spec["process"],
): Pick<Device, "uid" | "gid"> {
  return given({
    uid: uid ?? (user.uid > 0 ? user.uid : undefined),
    gid: gid ?? (user.gid > 0 ? user.gid : undefined),
  });
}

const given = <T extends object>(values: T): T =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;

/** The edits' mounts instead of those at the same places, and all of them with the shallow ones first. */
function mountsWith(spec: Spec, { mounts }: ContainerEdits): SpecMount[] {
  const remapped = (spec.linux.namespaces ?? []).some(({ type }) => type === "user");
  let all = spec.mounts;
  for (const { hostPath, containerPath, options, type } of mounts) {
    const mount: SpecMount = { source: hostPath, destination: containerPath, ...given({ options, type }) };
    const added = remapped ? withIdMap(mount) : mount;
    all = [...all.filter(({ destination }) => destination !== containerPath), added];
  }
  return byDepth(all);
}

/** In a user namespace a bind mount shows the owners that the host has only if it is mapped, too. */
function withIdMap(mount: SpecMount): SpecMount {
  const options = mount.options ?? [];
  if (options.includes("idmap") || options.includes("ridmap")) return mount;
  if (options.includes("rbind")) return { ...mount, options: [...options, "ridmap"] };
  return mount.type === "bind" || options.includes("bind") ? { ...mount, options: [...options, "idmap"] } : mount;
}

function hooksWith(hooks: Hooks = {}, edits: ContainerEdits): Hooks {
  const result: Hooks = { ...hooks };
  for (const { hookName, ...hook } of edits.hooks) result[hookName] = [...(result[hookName] ?? []), hook];
  return result;
}
