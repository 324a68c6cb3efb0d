import { hostname } from "node:os";
import type { Mount } from "@hull/api/gen/containerd/types/mount";
import type { PlatformImage } from "@hull/client/images";
import { readInRoot } from "@hull/client/io/host";
import { type ChosenNetwork, networkSteps } from "@hull/client/network/index";
import { invalidArgument } from "@hull/errors";
import type { ImageConfig } from "@hull/oci/manifest";
import {
  buildSpec,
  defaultCapabilities,
  defaultSeccomp,
  defaultSpec,
  type Rlimit,
  resolveUser,
  type Spec,
  type SpecMiddleware,
  type SpecMount,
  type SpecUser,
  withAddedCapabilities,
  withAppArmor,
  withCapabilities,
  withCgroupMount,
  withCpu,
  withCwd,
  withDroppedCapabilities,
  withEnv,
  withHostNetwork,
  withHostname,
  withImageConfig,
  withMemoryLimit,
  withMounts,
  withNoNewPrivileges,
  withPidsLimit,
  withPrivileged,
  withReadOnlyRoot,
  withRlimits,
  withSeccomp,
  withTty,
  withUser,
} from "@hull/oci/spec";
import { cgroupMode } from "@hull/sys/cgroup";
import { ownCapabilities } from "@hull/sys/credentials";
import { deviceNodes } from "@hull/sys/device-nodes";
import { resourceLimit } from "@hull/sys/process";
import { appArmorOption } from "./apparmor.ts";
import { collectEnv } from "./env.ts";
import { hostSteps } from "./host-steps.ts";
import { withInit } from "./init.ts";
import type { RunFlags } from "./run-flags.ts";
import { parseSize } from "./size.ts";

/** What a container's spec is made of. */
export interface SpecSource {
  readonly flags: RunFlags;
  readonly args: readonly string[];
  readonly id: string;
  readonly namespace: string;
  readonly image: PlatformImage;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly network: ChosenNetwork;
  /** What the flags and the image mount. */
  readonly mounts: readonly SpecMount[];
  readonly hostname: string;
  /** File that says by what it is found on its network, if it is on one. */
  readonly naming: string | undefined;
  /** Where network namespaces are held while containers are on networks. */
  readonly namespaceDirectory: string;
  /** Name of its AppArmor profile, if it is to have one. */
  readonly apparmor: string | undefined;
}

/** What a container calls itself. */
export const hostnameOf = ({ hostname: wanted }: RunFlags, network: string, id: string): string =>
  wanted ?? (network === "host" ? hostname() : id.slice(0, 12));

/** Open files that a program may have: what Docker gives under systemd, as far as we may ourselves. */
function openFiles(): Rlimit {
  const own = Number(resourceLimit(0, "RLIMIT_NOFILE").hard);
  return { type: "RLIMIT_NOFILE", soft: Math.min(1024, own), hard: Math.min(524_288, own) };
}

/** µs over which the limit of processor time is counted. */
const cpuPeriod = 100_000;
/** Docker's smallest limit of memory: less doesn't start. */
const leastMemory = 6 * 2 ** 20;

/**
 * The steps from containerd's default spec to what Docker would make of these flags, but for the user, which takes the root file system.
 * @throws InvalidArgument, Unimplemented for flags that can't be
 */
export function specOf(source: SpecSource): Spec {
  const { flags, id, namespace, image, args, env, hostname: name } = source;
  const host = source.network.name === "host";
  return buildSpec(
    defaultSpec({ namespace, id, cgroup2: cgroupMode() === "v2" }),
    withImageConfig(imageDefaults(image.config, flags, args), args),
    withNoNewPrivileges(flags["security-opt"].some((option) => /^no-new-privileges(:true)?$/.test(option))),
    withRlimits([openFiles()]),
    withCgroupMount,
    ...(host ? [withHostNetwork(name)] : [withHostname(name), withEnv([`HOSTNAME=${name}`])]),
    ...networkSteps(source.network, { ...source, directory: source.namespaceDirectory }),
    ...confinement(flags),
    ...(source.apparmor === undefined ? [] : [withAppArmor(source.apparmor)]),
    ...(flags.tty ? [withTty] : []),
    withEnv(collectEnv(flags["env-file"], flags.env, env)),
    ...(flags.workdir === undefined ? [] : [withCwd(flags.workdir)]),
    ...(flags["read-only"] ? [withReadOnlyRoot] : []),
    withMounts(source.mounts),
    ...limits(flags),
    ...hostSteps(flags, id),
    ...(flags.init ? [withInit] : []),
  );
}

/** With --entrypoint neither the image's own nor its command counts. */
function imageDefaults(config: ImageConfig, { entrypoint }: RunFlags, args: readonly string[]): ImageConfig {
  if (entrypoint === undefined) return config;
  const own = entrypoint === "" ? [] : [entrypoint];
  if (own.length === 0 && args.length === 0)
    throw invalidArgument("no command given: with an empty --entrypoint it takes one");
  return { ...config, config: { ...config.config, entrypoint: own, cmd: [] } };
}

function confinement(flags: RunFlags): SpecMiddleware[] {
  const options = flags["security-opt"];
  const known = /^(seccomp[=:]unconfined|no-new-privileges(:(true|false))?)$/;
  const wrong = options.find((option) => !known.test(option) && !appArmorOption.test(option));
  if (wrong !== undefined)
    throw invalidArgument(
      `security option "${wrong}" is not supported: use seccomp=unconfined, no-new-privileges or apparmor=PROFILE`,
    );
  if (flags.privileged) return [withPrivileged({ capabilities: ownCapabilities(), devices: deviceNodes() })];
  const added = flags["cap-add"].map(capability);
  const dropped = flags["cap-drop"].map(capability);
  const base = dropped.includes("CAP_ALL") ? [] : added.includes("CAP_ALL") ? ownCapabilities() : defaultCapabilities;
  const named = (names: readonly string[]): string[] => names.filter((name) => name !== "CAP_ALL");
  const capabilities: SpecMiddleware[] = [
    withCapabilities(base),
    withAddedCapabilities(named(added)),
    withDroppedCapabilities(named(dropped)),
  ];
  if (options.some((option) => option.startsWith("seccomp"))) return capabilities;
  return [...capabilities, seccomp];
}

const capability = (name: string): string => name.toUpperCase().replace(/^(CAP_)?/, "CAP_");

/** Go's names of the architectures that there are seccomp profiles for. */
const architectures: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

const seccomp: SpecMiddleware = (spec) => {
  const architecture = architectures[process.arch] ?? process.arch;
  const capabilities = spec.process.capabilities?.bounding ?? [];
  return withSeccomp(defaultSeccomp({ architecture, capabilities }))(spec);
};

function limits({ memory, cpus, "pids-limit": pids }: RunFlags): SpecMiddleware[] {
  const steps: SpecMiddleware[] = [];
  if (memory !== undefined) {
    const bytes = parseSize(memory, "memory limit");
    if (bytes < leastMemory) throw invalidArgument(`memory limit "${memory}" is too low: the least is 6m`);
    steps.push(withMemoryLimit(bytes));
  }
  if (cpus !== undefined) {
    if (cpus < 0.01) throw invalidArgument(`--cpus ${cpus} is too low: the least is 0.01`);
    steps.push(withCpu({ quota: Math.round(cpus * cpuPeriod), period: cpuPeriod }));
  }
  if (pids !== undefined && pids > 0) steps.push(withPidsLimit(pids));
  return steps;
}

/** A step that sets the user, looked up in the root file system that the mounts make. @throws NotFound for an unknown name */
export function withUserOf(user: string, mounts: readonly Mount[]): SpecMiddleware {
  return withUser(userIn(user, mounts));
}

/** Who a user is in the root file system that the mounts make. @throws NotFound for an unknown name */
export function userIn(user: string, mounts: readonly Mount[]): SpecUser {
  const [passwd = "", group = ""] = readInRoot(mounts, ["/etc/passwd", "/etc/group"]);
  return resolveUser(user, { passwd, group });
}
