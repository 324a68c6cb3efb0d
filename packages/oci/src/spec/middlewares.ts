/** Steps from the default spec to a container's own. Each gives a new spec and leaves the one it got alone. */

import { failedPrecondition, invalidArgument } from "@hull/errors";
import type { ImageConfig } from "../manifest.ts";
import { defaultPath } from "./default.ts";
import type {
  BlockIo,
  Capabilities,
  Device,
  DeviceRule,
  IdMapping,
  IntelRdt,
  Linux,
  LinuxNamespace,
  NamespaceType,
  Process,
  Resources,
  Rlimit,
  Seccomp,
  Spec,
  SpecMount,
  SpecUser,
} from "./types.ts";

/** A step of building a spec. */
export type SpecMiddleware = (spec: Spec) => Spec;

/** Applies the steps in order. */
export function buildSpec(start: Spec, ...steps: readonly SpecMiddleware[]): Spec {
  return steps.reduce((spec, step) => step(spec), start);
}

const withProcess =
  (change: (process: Process) => Partial<Process>): SpecMiddleware =>
  (spec) => ({ ...spec, process: { ...spec.process, ...change(spec.process) } });

const withLinux =
  (change: (linux: Linux) => Partial<Linux>): SpecMiddleware =>
  (spec) => ({ ...spec, linux: { ...spec.linux, ...change(spec.linux) } });

const changeResources = (change: (resources: Resources) => Partial<Resources>): SpecMiddleware =>
  withLinux(({ resources = {} }) => ({ resources: { ...resources, ...change(resources) } }));

/** Limits beside, or instead of, those that are there: what isn't given stays. */
export const withResources = (given: Resources): SpecMiddleware =>
  changeResources(({ cpu, memory, blockIO }) => ({
    ...given,
    ...(given.cpu === undefined ? {} : { cpu: { ...cpu, ...given.cpu } }),
    ...(given.memory === undefined ? {} : { memory: { ...memory, ...given.memory } }),
    ...(given.blockIO === undefined ? {} : { blockIO: { ...blockIO, ...given.blockIO } }),
  }));

/**
 * What the image says: environment (with a PATH if it has no variables at all), command line, working directory. `args` replaces the image's command and
 * is appended to its entry point. The image's user is resolved by `withUser`, since that needs the rootfs.
 * @throws FailedPrecondition if neither image nor `args` name a program
 */
export function withImageConfig(image: ImageConfig, args: readonly string[] = []): SpecMiddleware {
  const { env, entrypoint, cmd, workingDir } = image.config;
  const command = [...entrypoint, ...(args.length > 0 ? args : cmd)];
  return withProcess((process) => {
    if (command.length === 0)
      throw failedPrecondition("the image names no program to run (no entry point, no command): give one");
    return {
      env: mergeEnv(env.length > 0 ? env : [defaultPath], process.env ?? []),
      args: command,
      cwd: workingDir === "" ? "/" : workingDir,
    };
  });
}

/** The program and its arguments, whatever the image says. */
export const withArgs = (args: readonly string[]): SpecMiddleware => withProcess(() => ({ args: [...args] }));

/** Sets variables (`NAME=value`); one without `=` removes that variable. */
export const withEnv = (env: readonly string[]): SpecMiddleware =>
  withProcess((process) => ({ env: mergeEnv(process.env ?? [], env) }));

function mergeEnv(base: readonly string[], changes: readonly string[]): string[] {
  const result = [...base];
  for (const change of changes) {
    const name = change.split("=", 1)[0] ?? "";
    const at = result.findIndex((entry) => entry === name || entry.startsWith(`${name}=`));
    if (!change.includes("=")) {
      if (at >= 0) result.splice(at, 1);
    } else if (at >= 0) result[at] = change;
    else result.push(change);
  }
  return result;
}

/** The working directory: absolute, in the container. @throws InvalidArgument */
export function withCwd(cwd: string): SpecMiddleware {
  if (!cwd.startsWith("/")) throw invalidArgument(`working directory "${cwd}" must be an absolute path`);
  return withProcess(() => ({ cwd }));
}

/** Adds mounts after those that are there. */
export const withMounts =
  (mounts: readonly SpecMount[]): SpecMiddleware =>
  (spec) => ({ ...spec, mounts: [...spec.mounts, ...mounts] });

/** Mounts with those first that others may be made on, else in their order. */
export function byDepth(mounts: readonly SpecMount[]): SpecMount[] {
  const depth = ({ destination }: SpecMount): number =>
    destination.replace(/\/+/g, "/").replace(/\/$/, "").split("/").length;
  return mounts.toSorted((a, b) => depth(a) - depth(b));
}

/** Takes the mounts on `destination` away. */
export const withoutMount =
  (destination: string): SpecMiddleware =>
  (spec) => ({ ...spec, mounts: spec.mounts.filter((mount) => mount.destination !== destination) });

/** The cgroup file system, read-only, for programs that look at their limits. */
export const withCgroupMount: SpecMiddleware = withMounts([
  {
    destination: "/sys/fs/cgroup",
    type: "cgroup",
    source: "cgroup",
    options: ["ro", "nosuid", "noexec", "nodev"],
  },
]);

/** Puts the container into an existing namespace, or gives it one of its own without a path. */
export function withNamespace(namespace: LinuxNamespace): SpecMiddleware {
  return withLinux(({ namespaces = [] }) => ({
    namespaces: namespaces.some(({ type }) => type === namespace.type)
      ? namespaces.map((other) => (other.type === namespace.type ? namespace : other))
      : [...namespaces, namespace],
  }));
}

/** Shares the host's namespace. */
export const withHostNamespace = (type: NamespaceType): SpecMiddleware =>
  withLinux(({ namespaces = [] }) => ({ namespaces: namespaces.filter((namespace) => namespace.type !== type) }));

/** The host's network with its names: namespace, `/etc/hosts`, `/etc/resolv.conf`, `HOSTNAME`. */
export const withHostNetwork =
  (hostname: string): SpecMiddleware =>
  (spec) =>
    buildSpec(
      spec,
      withHostNamespace("network"),
      withMounts(
        ["/etc/hosts", "/etc/resolv.conf"].map((file) => ({
          destination: file,
          type: "bind",
          source: file,
          options: ["rbind", "ro"],
        })),
      ),
      withEnv([`HOSTNAME=${hostname}`]),
    );

/** A terminal, with `TERM` unless it is set. */
export const withTty: SpecMiddleware = withProcess((process) => ({
  terminal: true,
  env: process.env?.some((entry) => entry.startsWith("TERM=")) ? process.env : [...(process.env ?? []), "TERM=xterm"],
}));

/** The container's root file system can't be written. */
export const withReadOnlyRoot: SpecMiddleware = (spec) => ({ ...spec, root: { ...spec.root, readonly: true } });

export const withHostname =
  (hostname: string): SpecMiddleware =>
  (spec) => ({ ...spec, hostname });

/** Ids in the container; see `resolveUser` for names. */
export const withUser = (user: SpecUser): SpecMiddleware => withProcess(() => ({ user }));

export const withRlimits = (rlimits: readonly Rlimit[]): SpecMiddleware =>
  withProcess((process) => ({
    rlimits: [
      ...(process.rlimits ?? []).filter(({ type }) => !rlimits.some((other) => other.type === type)),
      ...rlimits,
    ],
  }));

/** False lets set-user-id programs and file capabilities raise privileges. */
export const withNoNewPrivileges = (on: boolean): SpecMiddleware =>
  withProcess(() => ({ noNewPrivileges: on ? true : undefined }));

/** A profile of AppArmor that the kernel has. */
export const withAppArmor = (apparmorProfile: string): SpecMiddleware => withProcess(() => ({ apparmorProfile }));

const capabilitySets = ["bounding", "effective", "permitted"] as const;

const changeCapabilities = (change: (set: readonly string[]) => string[]): SpecMiddleware =>
  withProcess(({ capabilities = {} }) => {
    const changed: Capabilities = { ...capabilities };
    for (const name of capabilitySets) changed[name] = change(capabilities[name] ?? []);
    return { capabilities: changed };
  });

function checkCapabilities(names: readonly string[]): void {
  for (const name of names)
    if (!/^CAP_[A-Z_]+$/.test(name))
      throw invalidArgument(
        `capability "${name}" must be written in capitals with "CAP_" in front, as in "CAP_NET_ADMIN"`,
      );
}

/** Exactly these capabilities in the bounding, effective and permitted set. @throws InvalidArgument for a malformed name */
export function withCapabilities(names: readonly string[]): SpecMiddleware {
  checkCapabilities(names);
  return changeCapabilities(() => [...names]);
}

/** @throws InvalidArgument for a malformed name */
export function withAddedCapabilities(names: readonly string[]): SpecMiddleware {
  checkCapabilities(names);
  return changeCapabilities((set) => [...set, ...names.filter((name) => !set.includes(name))]);
}

/** @throws InvalidArgument for a malformed name */
export function withDroppedCapabilities(names: readonly string[]): SpecMiddleware {
  checkCapabilities(names);
  return changeCapabilities((set) => set.filter((name) => !names.includes(name)));
}

/** Device nodes, and the right to read, write and make them (`access`: some of `rwm`). */
export const withDevices =
  (devices: readonly Device[], access = "rwm"): SpecMiddleware =>
  (spec) =>
    buildSpec(
      spec,
      withLinux((linux) => ({ devices: [...(linux.devices ?? []), ...devices] })),
      changeResources((resources) => ({
        devices: [
          ...(resources.devices ?? []),
          ...devices.map(({ type, major, minor }): DeviceRule => ({ allow: true, type, major, minor, access })),
        ],
      })),
    );

/**
 * As little between the container and the host as containerd's `--privileged` leaves: all of `capabilities` (those that the caller has itself),
 * nothing masked or read-only, no seccomp and no noNewPrivileges change, all devices allowed and `devices` (the host's) made; with
 * "none" devices stay as they are.
 */
export const withPrivileged =
  (options: { capabilities: readonly string[]; devices?: readonly Device[] | "none" }): SpecMiddleware =>
  (spec) =>
    buildSpec(
      spec,
      withCapabilities(options.capabilities),
      withLinux(({ maskedPaths: _masked, readonlyPaths: _readonly, seccomp: _seccomp, ...linux }) => ({
        ...linux,
        maskedPaths: undefined,
        readonlyPaths: undefined,
        seccomp: undefined,
        ...(Array.isArray(options.devices) ? { devices: [...options.devices] } : {}),
      })),
      (before) => ({
        ...before,
        mounts: before.mounts.map((mount) =>
          mount.type === "sysfs" || mount.type === "cgroup"
            ? { ...mount, options: (mount.options ?? []).map((option) => (option === "ro" ? "rw" : option)) }
            : mount,
        ),
      }),
      ...(options.devices === "none" ? [] : [changeResources(() => ({ devices: [{ allow: true, access: "rwm" }] }))]),
    );

/** Bytes. @throws InvalidArgument if not a positive whole number */
export function withMemoryLimit(limit: number): SpecMiddleware {
  if (!Number.isSafeInteger(limit) || limit <= 0)
    throw invalidArgument(`memory limit ${limit} must be a positive whole number of bytes`);
  return changeResources(({ memory }) => ({ memory: { ...memory, limit } }));
}

/** Shares (relative weight), quota and period (µs), `cpus` and `mems` as lists (`0-3,5`). */
export const withCpu = (cpu: NonNullable<Resources["cpu"]>): SpecMiddleware =>
  changeResources((resources) => ({ cpu: { ...resources.cpu, ...cpu } }));

/** The most processes and threads. */
export const withPidsLimit = (limit: number): SpecMiddleware => changeResources(() => ({ pids: { limit } }));

/** Kernel parameters of the container's namespaces. */
export const withSysctl = (sysctl: Readonly<Record<string, string>>): SpecMiddleware =>
  withLinux((linux) => ({ sysctl: { ...linux.sysctl, ...sysctl } }));

/** How soon the kernel kills the container when memory is short: −1000 (never) to 1000. */
export const withOomScore = (oomScoreAdj: number): SpecMiddleware => withProcess(() => ({ oomScoreAdj }));

export const withCgroupsPath = (cgroupsPath: string): SpecMiddleware => withLinux(() => ({ cgroupsPath }));

export const withRootfsPropagation = (rootfsPropagation: string): SpecMiddleware =>
  withLinux(() => ({ rootfsPropagation }));

/** A class of service for cache and memory bandwidth. */
export const withIntelRdt = (intelRdt: IntelRdt): SpecMiddleware => withLinux(() => ({ intelRdt }));

export const withBlockIo = (blockIO: BlockIo): SpecMiddleware => changeResources(() => ({ blockIO }));

/** A user namespace of its own, with the host's ids that stand behind its ids. */
export const withUserNamespace = (
  uidMappings: readonly IdMapping[],
  gidMappings: readonly IdMapping[],
): SpecMiddleware =>
  withLinux(({ namespaces = [] }) => ({
    namespaces: [...namespaces.filter(({ type }) => type !== "user"), { type: "user" }],
    uidMappings: [...uidMappings],
    gidMappings: [...gidMappings],
  }));

export const withSeccomp = (seccomp: Seccomp): SpecMiddleware => withLinux(() => ({ seccomp }));

export const withAnnotations =
  (annotations: Readonly<Record<string, string>>): SpecMiddleware =>
  (spec) => ({ ...spec, annotations: { ...spec.annotations, ...annotations } });
