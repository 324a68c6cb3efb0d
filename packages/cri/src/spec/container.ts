import { NamespaceMode } from "@hull/api/gen/cri/v1/cri";
import { unknown } from "@hull/errors";
import type { ImageConfig } from "@hull/oci/manifest";
import {
  buildSpec,
  defaultPath,
  defaultSeccomp,
  defaultSpec,
  type Spec,
  type SpecMiddleware,
  type SpecMount,
  withAnnotations,
  withAppArmor,
  withCgroupsPath,
  withDevices,
  withEnv,
  withNamespace,
  withNoNewPrivileges,
  withOomScore,
  withoutMount,
  withPrivileged,
  withReadOnlyRoot,
  withSeccomp,
  withTty,
  withUser,
} from "@hull/oci/spec";
import { criNamespace } from "../model.ts";
import { within } from "../wrap.ts";
import { containerAnnotations, passedAnnotations } from "./annotations.ts";
import { withRequestedCapabilities } from "./capabilities.ts";
import { contexts } from "./contexts.ts";
import type { ContainerSpecInput, HostFacts, SpecHandler } from "./input.ts";
import { containerNamespaces, sharedIdMappings } from "./namespaces.ts";
import { cgroupsPath, linuxResources, mergeResources, oomScore } from "./resources.ts";
import { specUser } from "./user.ts";

/** What the OCI runtime makes in every container it allows by itself. */
const noDevices = [{ allow: false, access: "rwm" }];

/** What containers and pause processes start from: the handler's own spec, or the default one without its limits. */
export function startSpec(id: string, { baseSpec }: SpecHandler): Spec {
  const plain = defaultSpec({ namespace: criNamespace, id });
  const { rlimits: _rlimits, apparmorProfile: _profile, ...process } = plain.process;
  const start =
    baseSpec === undefined
      ? { ...plain, process, linux: { ...plain.linux, resources: { devices: noDevices } } }
      : {
          ...structuredClone(baseSpec),
          linux: { ...structuredClone(baseSpec.linux), cgroupsPath: plain.linux.cgroupsPath },
        };
  return buildSpec({ ...start, root: { ...start.root, path: "rootfs" } }, withoutMount("/run"));
}

/** What is given as `noNewPrivileges` decides, and nothing else. */
const withLabels =
  (process: string, mount: string): SpecMiddleware =>
  (spec) => ({
    ...spec,
    process: { ...spec.process, selinuxLabel: process === "" ? undefined : process },
    linux: { ...spec.linux, mountLabel: mount === "" ? undefined : mount },
  });

/** Process and mount label, apparmor and seccomp of a spec whose capabilities are settled. */
export const withConfinement =
  (
    { labels, profiles }: Pick<ContainerSpecInput, "labels" | "profiles">,
    { architecture }: HostFacts,
    privileged: boolean,
  ): SpecMiddleware =>
  (spec) => {
    const { seccomp, apparmor } = profiles;
    const capabilities = spec.process.capabilities?.bounding ?? [];
    const filter = seccomp === "default" ? defaultSeccomp({ architecture, capabilities }) : seccomp;
    return buildSpec(
      spec,
      withLabels(privileged ? "" : labels.process, labels.mount),
      ...(apparmor === undefined ? [] : [withAppArmor(apparmor)]),
      ...(filter === undefined ? [] : [withSeccomp(filter)]),
    );
  };

/**
 * The program: the request's command and arguments over the image's entry point and command.
 * @throws Unknown if there is none
 */
function programOf({ command, args }: ContainerSpecInput["config"], { config: image }: ImageConfig): string[] {
  if (command.length > 0) return [...command, ...args];
  // Docker writes an entry point that was taken away as one empty word.
  const entry = image.entrypoint.length === 1 && image.entrypoint[0] === "" ? [] : image.entrypoint;
  const program = [...entry, ...(args.length > 0 ? args : image.cmd)];
  if (program.length === 0) throw unknown("no command specified");
  return program;
}

function withProgram({ config, image, podConfig, host }: ContainerSpecInput): SpecMiddleware {
  const decoder = new TextDecoder();
  const args = programOf(config, image);
  const cwd = config.workingDir || image.config.workingDir;
  const hostname = podConfig.hostname || host.hostname;
  return (spec) =>
    buildSpec(
      { ...spec, process: { ...spec.process, args, ...(cwd === "" ? {} : { cwd }) } },
      withEnv([defaultPath]),
      ...(config.tty ? [withTty] : []),
      withEnv([`HOSTNAME=${hostname}`]),
      withEnv([...image.config.env, ...config.envs.map(({ key, value }) => `${key}=${decoder.decode(value)}`)]),
    );
}

/**
 * The kernel's own file systems but those that the request mounts over, then what it gives. Where the pod has the host's network and users of
 * its own, a new sysfs isn't permitted: the host's is bound instead.
 */
function withAllMounts(
  { mounts, handler, host, podConfig }: ContainerSpecInput,
  userNamespace: boolean,
): SpecMiddleware {
  const given = new Set(mounts.mounts.map(({ destination }) => destination.replace(/(.)\/+$/, "$1")));
  const hostNetwork = podConfig.linux?.securityContext?.namespaceOptions?.network === NamespaceMode.NODE;
  return (spec) => {
    const ownCgroups = spec.linux.namespaces?.some(({ type }) => type === "cgroup") === true;
    const access = handler.config.cgroup_writable ? "rw" : "ro";
    const cgroup: SpecMount = {
      destination: "/sys/fs/cgroup",
      type: "cgroup",
      source: "cgroup",
      options: ["nosuid", "noexec", "nodev", "relatime", access, ...(ownCgroups ? [] : host.cgroupOptions)],
    };
    const kept = [...spec.mounts, cgroup].filter(
      ({ destination }) => !given.has(destination) && !(given.has("/dev") && destination.startsWith("/dev/")),
    );
    const kernel =
      hostNetwork && userNamespace ? kept.map((mount) => (mount.destination === "/sys" ? boundSys : mount)) : kept;
    const { rootfsPropagation } = mounts;
    return {
      ...spec,
      mounts: [...kernel, ...mounts.mounts],
      ...(rootfsPropagation === undefined ? {} : { linux: { ...spec.linux, rootfsPropagation } }),
    };
  };
}

/** The host's sysfs, read-only with all that is mounted on it. */
export const boundSys: SpecMount = {
  destination: "/sys",
  type: "bind",
  source: "/sys",
  options: ["rbind", "rro", "nosuid", "nodev", "noexec"],
};

const withMaskedPaths =
  (masked: readonly string[], readonly: readonly string[]): SpecMiddleware =>
  (spec) => ({
    ...spec,
    linux: {
      ...spec.linux,
      maskedPaths: masked.length === 0 ? undefined : [...masked],
      readonlyPaths: readonly.length === 0 ? undefined : [...readonly],
    },
  });

/** Nodes, and the right to use them. */
const withGivenDevices = ({ devices }: ContainerSpecInput): SpecMiddleware[] =>
  devices.map(({ node, access }) => withDevices([node], access));

/** Capabilities of this process, nothing masked, and by the handler's settings the devices of the host. */
function withAllPrivileges({ host, handler, podConfig, hostDevices = [] }: ContainerSpecInput): SpecMiddleware {
  if (podConfig.linux?.securityContext?.privileged !== true)
    throw unknown("no privileged container allowed in sandbox");
  const { privileged_without_host_devices: without, privileged_without_host_devices_all_devices_allowed: allowed } =
    handler.config;
  return (before) => {
    const spec = withPrivileged({ capabilities: host.capabilities, devices: "none" })(before);
    const { devices = [], resources } = spec.linux;
    return {
      ...spec,
      linux: {
        ...spec.linux,
        ...(without ? {} : { devices: [...devices, ...hostDevices] }),
        ...(without && !allowed ? {} : { resources: { ...resources, devices: [{ allow: true, access: "rwm" }] } }),
      },
    };
  };
}

function withLimits({ config, settings, host, podConfig, id }: ContainerSpecInput): SpecMiddleware[] {
  const resources = config.linux?.resources;
  const parent = podConfig.linux?.cgroupParent ?? "";
  const steps: SpecMiddleware[] = [];
  if (resources !== undefined) {
    const given = linuxResources(resources, settings, host);
    steps.push((spec) => ({
      ...spec,
      linux: { ...spec.linux, resources: mergeResources(spec.linux.resources ?? {}, given) },
    }));
    steps.push(withOomScore(oomScore(Number(resources.oomScoreAdj), settings, host)));
  }
  if (parent !== "") steps.push(withCgroupsPath(cgroupsPath(parent, id)));
  return steps;
}

/**
 * The OCI spec of a container of a pod, as containerd makes it; a pure function of what it is given. `ContainerSpecs` collects that.
 *
 * @throws Unknown, in containerd's words, for requests that contradict themselves, their pod or the host
 */
export function buildContainerSpec(input: ContainerSpecInput): Spec {
  const { id, config, podConfig, pod, handler, host, settings, image } = input;
  const security = config.linux?.securityContext;
  const podOptions = podConfig.linux?.securityContext?.namespaceOptions;
  const options = security?.namespaceOptions;
  const privileged = security?.privileged === true;
  const { mappings, privileges, namespaces } = within(contexts.options(id), () => {
    const shared = sharedIdMappings(podOptions?.usernsOptions, options?.usernsOptions);
    const asked = { container: options, pod: podOptions, mappings: shared, targetPid: input.targetPid };
    return {
      mappings: shared,
      privileges: privileged ? [withAllPrivileges(input)] : [],
      namespaces: containerNamespaces(pod.namespaces, asked),
    };
  });
  const { program, limits } = within(contexts.spec(id), () => ({
    program: withProgram(input),
    limits: withLimits(input),
  }));
  const user = within(contexts.container, () => specUser(security, image.config.user, input.users));
  return buildSpec(
    startSpec(id, handler),
    program,
    withNoNewPrivileges(security?.noNewPrivs === true),
    // Hides the host's groups. Privileged ones are to see them, and on version 1 containerd never did.
    ...(host.unifiedCgroups && !privileged ? [withNamespace({ type: "cgroup" })] : []),
    withAllMounts(input, mappings !== undefined),
    ...(settings.disable_proc_mount
      ? []
      : [withMaskedPaths(security?.maskedPaths ?? [], security?.readonlyPaths ?? [])]),
    ...withGivenDevices(input),
    withRequestedCapabilities(security?.capabilities, host.capabilities),
    ...privileges,
    ...(security?.readonlyRootfs === true ? [withReadOnlyRoot] : []),
    ...limits,
    namespaces,
    withUser(user),
    withConfinement(input, host, privileged),
    withAnnotations({
      ...passedAnnotations(podConfig.annotations, handler.config.pod_annotations),
      ...passedAnnotations(config.annotations, handler.config.container_annotations),
      ...containerAnnotations(pod.id, podConfig, config.metadata?.name ?? "", input.imageName),
    }),
  );
}
