import { NamespaceMode, type PodSandboxConfig, SupplementalGroupsPolicy } from "@hull/api/gen/cri/v1/cri";
import { unknown } from "@hull/errors";
import {
  buildSpec,
  type NamespaceType,
  type Spec,
  type SpecMiddleware,
  type SpecMount,
  withAnnotations,
  withCgroupsPath,
  withCpu,
  withEnv,
  withHostNamespace,
  withHostname,
  withMounts,
  withNamespace,
  withOomScore,
  withoutMount,
  withReadOnlyRoot,
  withSysctl,
  withUser,
  withUserNamespace,
} from "@hull/oci/spec";
import type { CriRuntimeConfig } from "../config.ts";
import { passedAnnotations, pauseAnnotations } from "./annotations.ts";
import { boundSys, startSpec, withConfinement } from "./container.ts";
import type { PauseSpecInput } from "./input.ts";
import { idMappingsOf } from "./namespaces.ts";
import { cgroupsPath, oomScore } from "./resources.ts";
import { specUser } from "./user.ts";

/** Above all but the node's own services: with the process the whole pod would end. The kubelet's value for guaranteed pods is −997. */
const pauseOomScore = -998;
/** The kernel's least. */
const pauseCpuShares = 2;

const nobody = { runAsUser: undefined, runAsGroup: undefined, supplementalGroups: [] };

const optionsOf = (config: PodSandboxConfig) => config.linux?.securityContext?.namespaceOptions;

/**
 * Kernel parameters of a pod's namespaces: those asked for, and by the configuration the ones that let its users bind low ports and send
 * pings. Who makes the namespaces without a pause process sets them there.
 */
export function podSysctls(
  config: PodSandboxConfig,
  settings: Pick<CriRuntimeConfig, "enable_unprivileged_ports" | "enable_unprivileged_icmp">,
): Record<string, string> {
  const options = optionsOf(config);
  const asked = config.linux?.sysctls ?? {};
  if (options?.network === NamespaceMode.NODE) return { ...asked };
  const ownUsers = options?.usernsOptions?.mode === NamespaceMode.POD && options.usernsOptions.uids.length > 0;
  return {
    ...(settings.enable_unprivileged_ports ? { "net.ipv4.ip_unprivileged_port_start": "0" } : {}),
    // In a user namespace the kernel refuses ranges that it doesn't map.
    ...(settings.enable_unprivileged_icmp && !ownUsers ? { "net.ipv4.ping_group_range": "0 2147483647" } : {}),
    ...asked,
  };
}

const bind = (destination: string, source: string | undefined): SpecMount[] =>
  source === undefined
    ? []
    : // In a user namespace these flags can't be taken off the mount that is bound, so they must be repeated.
      [{ destination, type: "bind", source, options: ["rbind", "ro", "nosuid", "nodev", "noexec"] }];

/** One namespace: joined, the host's, or made with the process. */
function namespaceStep(type: NamespaceType, path: string | undefined, shared: boolean): SpecMiddleware {
  if (shared) return withHostNamespace(type);
  return withNamespace(path === undefined ? { type } : { type, path });
}

/**
 * The OCI spec of the process that keeps a pod's pid namespace, or that stands for the pod to a shim that wants one.
 * @throws Unknown, in containerd's words
 */
export function buildPauseSpec(input: PauseSpecInput): Spec {
  const { id, config, image, handler, host, settings, namespaces, files } = input;
  const security = config.linux?.securityContext;
  const options = optionsOf(config);
  const { entrypoint, cmd, env, workingDir, user } = image.config;
  const args = [...entrypoint, ...cmd];
  if (args.length === 0)
    throw unknown(`invalid empty entrypoint and cmd in image config ${JSON.stringify(image.config)}`);
  const mappings = idMappingsOf(options?.usernsOptions);
  const hostNetwork = options?.network === NamespaceMode.NODE;
  const hostIpc = options?.ipc === NamespaceMode.NODE;
  const sysctls = podSysctls(config, settings);
  const parent = config.linux?.cgroupParent ?? "";
  return buildSpec(
    startSpec(id, { ...handler, baseSpec: undefined }),
    withEnv(env),
    withReadOnlyRoot,
    (spec) => ({ ...spec, process: { ...spec.process, args, ...(workingDir === "" ? {} : { cwd: workingDir }) } }),
    // One that is joined has its name already.
    ...(config.hostname === "" || namespaces.uts !== undefined ? [] : [withHostname(config.hostname)]),
    ...(parent === "" ? [] : [withCgroupsPath(cgroupsPath(parent, id))]),
    namespaceStep("network", namespaces.net, hostNetwork),
    namespaceStep("uts", namespaces.uts, hostNetwork),
    namespaceStep("ipc", namespaces.ipc, hostIpc),
    namespaceStep("pid", undefined, options?.pid === NamespaceMode.NODE),
    ...(mappings === undefined
      ? []
      : [
          withUserNamespace(mappings.uids, mappings.gids),
          ...(namespaces.user === undefined ? [] : [withNamespace({ type: "user" as const, path: namespaces.user })]),
        ]),
    withoutMount("/dev/shm"),
    withMounts([...bind("/dev/shm", hostIpc ? "/dev/shm" : files.shm), ...bind("/etc/resolv.conf", files.resolvConf)]),
    (spec) =>
      hostNetwork && mappings !== undefined
        ? { ...spec, mounts: spec.mounts.map((mount) => (mount.destination === "/sys" ? boundSys : mount)) }
        : spec,
    ...(Object.keys(sysctls).length === 0 ? [] : [withSysctl(sysctls)]),
    withCpu({ shares: pauseCpuShares }),
    withOomScore(oomScore(pauseOomScore, settings, host)),
    // Its files have no groups to look up: the policy of the pod is for its containers.
    withUser(
      specUser(
        { ...(security ?? nobody), runAsUsername: "", supplementalGroupsPolicy: SupplementalGroupsPolicy.Strict },
        user,
        input.users,
      ),
    ),
    withConfinement(input, host, false),
    withAnnotations({
      ...passedAnnotations(config.annotations, handler.config.pod_annotations),
      ...pauseAnnotations(id, config, input.imageName),
    }),
  );
}
