/** What is mounted into a container: what the request says, the pod's files, and the volumes that the image names. */

import { randomBytes } from "node:crypto";
import { join, normalize } from "node:path";
import { type ContainerConfig, type IDMapping, Mount, MountPropagation, NamespaceMode } from "@hull/api/gen/cri/v1/cri";
import { invalidArgument, unknown } from "@hull/errors";
import type { ImageConfig } from "@hull/oci/manifest";
import { byDepth, type SpecMount } from "@hull/oci/spec";
import { withinLater } from "../wrap.ts";
import type { PodFiles, ResolvedMounts } from "./input.ts";
import { specMapping } from "./namespaces.ts";

/** Files of the host that mounts lead to. Texts of errors are as Go's (`stat /x: permission denied`). */
export interface HostPaths {
  /** The path without links; undefined if nothing is there. */
  find(path: string): Promise<string | undefined>;
  /** Creates a directory, and those above it. */
  makeDirectory(path: string): Promise<void>;
  /** The mount that a path is on: where it is mounted, and how it propagates (`shared:1`, `master:2`). */
  mountOf(path: string): Promise<{ readonly target: string; readonly propagation: readonly string[] }>;
  /** Gives a file and all below it a label of SELinux. */
  relabel(path: string, label: string): Promise<void>;
}

const clean = (path: string): string => normalize(path).replace(/(.)\/+$/, "$1");
const isMounted = (mounts: readonly Mount[], path: string): boolean =>
  mounts.some(({ containerPath }) => clean(containerPath) === clean(path));

/** The user namespace's ids, which binds into it must show. */
function idsOf(config: ContainerConfig): { uidMappings: IDMapping[]; gidMappings: IDMapping[] } {
  const options = config.linux?.securityContext?.namespaceOptions?.usernsOptions;
  return { uidMappings: options?.uids ?? [], gidMappings: options?.gids ?? [] };
}

/** The pod's files as mounts, but those that the request mounts over. */
export function podFileMounts(config: ContainerConfig, files: PodFiles): Mount[] {
  const security = config.linux?.securityContext;
  const readonly = security?.readonlyRootfs ?? false;
  const ids = idsOf(config);
  const bind = (containerPath: string, hostPath: string | undefined, rest: Partial<Mount>): Mount[] =>
    hostPath === undefined || isMounted(config.mounts, containerPath)
      ? []
      : [Mount.fromPartial({ containerPath, hostPath, selinuxRelabel: true, ...rest })];
  const hostIpc = security?.namespaceOptions?.ipc === NamespaceMode.NODE;
  return [
    ...bind("/etc/hostname", files.hostname, { readonly, ...ids }),
    ...bind("/etc/hosts", files.hosts, { readonly, ...ids }),
    ...bind("/etc/resolv.conf", files.resolvConf, { readonly, ...ids }),
    // An empty tmpfs, which older kernels can't show with other owners: nothing is in it that would need them.
    ...bind("/dev/shm", hostIpc ? "/dev/shm" : files.shm, { selinuxRelabel: !hostIpc }),
  ];
}

/** The volumes that an image names, as directories below the container's own; those that the request mounts over are left out. */
export function imageVolumeMounts(config: ContainerConfig, image: ImageConfig, containerRoot: string): Mount[] {
  return image.config.volumes
    .filter((path) => !isMounted(config.mounts, path))
    .map((path) =>
      Mount.fromPartial({
        containerPath: path.startsWith("/") ? path : join("/", path),
        hostPath: join(containerRoot, "volumes", randomBytes(32).toString("hex")),
        selinuxRelabel: true,
        ...idsOf(config),
      }),
    );
}

/** What the OCI runtime can do with mounts. */
export interface MountAbilities {
  readonly recursiveReadOnly: boolean;
  /** Of the container's files. */
  readonly mountLabel: string;
}

/**
 * Finds what the mounts stand for on this host: creates directories that aren't there, follows links, and sees that what is to propagate can.
 * `extra` ones yield to those of the request.
 * @throws Unknown in containerd's words; what was created stays
 */
export async function resolveMounts(
  given: readonly Mount[],
  extra: readonly Mount[],
  host: HostPaths,
  abilities: MountAbilities,
): Promise<ResolvedMounts> {
  const all = [...given, ...extra.filter(({ containerPath }) => !isMounted(given, containerPath))];
  // Side by side, since a path may be on a server far away; the error is that of the first, whichever is found first.
  const results = await Promise.allSettled(all.map((mount) => resolveMount(mount, host, abilities)));
  const mounts = results.map((result) => {
    if (result.status === "rejected") throw result.reason;
    return result.value;
  });
  const modes = new Set(all.map(({ propagation }) => propagation));
  return {
    mounts: byDepth(mounts),
    ...(modes.has(MountPropagation.PROPAGATION_BIDIRECTIONAL)
      ? { rootfsPropagation: "rshared" }
      : modes.has(MountPropagation.PROPAGATION_HOST_TO_CONTAINER)
        ? { rootfsPropagation: "rslave" }
        : {}),
  };
}

async function resolveMount(mount: Mount, host: HostPaths, abilities: MountAbilities): Promise<SpecMount> {
  const { containerPath, hostPath, uidMappings, gidMappings } = mount;
  const quotedHost = JSON.stringify(hostPath);
  const source =
    (await withinLater(`failed to stat ${quotedHost}`, host.find(hostPath))) ?? (await made(hostPath, host));
  const options = ["rbind", await propagationOf(mount, source, host), accessOf(mount, abilities)];
  if (mount.selinuxRelabel && abilities.mountLabel !== "")
    await withinLater(
      `relabel ${JSON.stringify(source)} with ${JSON.stringify(abilities.mountLabel)} failed`,
      host.relabel(source, abilities.mountLabel),
    );
  return {
    destination: containerPath,
    type: "bind",
    source,
    options: [...options, ...checkOptions(mount)],
    ...(uidMappings.length === 0 ? {} : { uidMappings: uidMappings.map(specMapping) }),
    ...(gidMappings.length === 0 ? {} : { gidMappings: gidMappings.map(specMapping) }),
  };
}

async function made(path: string, host: HostPaths): Promise<string> {
  await withinLater(`failed to mkdir ${JSON.stringify(path)}`, host.makeDirectory(path));
  const found = await host.find(path);
  if (found === undefined) throw unknown(`failed to resolve symlink ${JSON.stringify(path)}: it was removed meanwhile`);
  return found;
}

async function propagationOf({ propagation }: Mount, source: string, host: HostPaths): Promise<string> {
  if (propagation === MountPropagation.PROPAGATION_PRIVATE) return "rprivate";
  const both = propagation === MountPropagation.PROPAGATION_BIDIRECTIONAL;
  await checkPropagation(host, source, both ? ["rshared"] : ["rshared", "rslave"]);
  return both ? "rshared" : "rslave";
}

const fieldOf = { rshared: "shared:", rslave: "master:" } as const;

/** @throws Unknown, in containerd's words, unless the mount that a path is on propagates in one of these ways */
export async function checkPropagation(
  host: Pick<HostPaths, "mountOf">,
  path: string,
  allowed: readonly ("rshared" | "rslave")[],
): Promise<void> {
  const { target, propagation } = await host.mountOf(path);
  if (propagation.some((field) => allowed.some((way) => field.startsWith(fieldOf[way])))) return;
  throw unknown(
    `path ${JSON.stringify(path)} is mounted on ${JSON.stringify(target)} but it is not a ${allowed.map((way) => way.slice(1)).join(" or ")} mount`,
  );
}

/** What a bind may be told beside its access: what takes rights away (KEP-5855), here or in all that is mounted below. */
const knownOptions = /^r?(noexec|nodev|nosuid|nosymfollow|noatime|nodiratime|relatime|strictatime)$/;

function checkOptions({ mountOptions, containerPath }: Mount): string[] {
  const wrong = mountOptions.find((option) => !knownOptions.test(option));
  if (wrong !== undefined)
    throw invalidArgument(
      `mount option ${JSON.stringify(wrong)} of ${JSON.stringify(containerPath)} is not supported: a bind may have noexec, nodev, nosuid and their like`,
    );
  return mountOptions;
}

const propagationNames = Object.keys(MountPropagation);

function accessOf(mount: Mount, { recursiveReadOnly }: MountAbilities): string {
  const where = `(hostPath=${JSON.stringify(mount.hostPath)})`;
  if (!mount.recursiveReadOnly) return mount.readonly ? "ro" : "rw";
  if (!mount.readonly) throw unknown(`recursive read-only mount conflicts with RW mount ${where}`);
  if (!recursiveReadOnly)
    throw unknown(`RROUnsupported: runtime handler does not support recursive read-only mounts ${where}`);
  if (mount.propagation !== MountPropagation.PROPAGATION_PRIVATE)
    throw unknown(
      `recursive read-only mount needs private propagation, got ${JSON.stringify(propagationNames[mount.propagation])} ${where}`,
    );
  return "rro";
}
