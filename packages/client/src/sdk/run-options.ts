import { invalidArgument } from "@hull/errors";
import type { Platform } from "@hull/oci/descriptor";
import type { ImageConfig } from "@hull/oci/manifest";
import {
  buildSpec,
  defaultCapabilities,
  defaultSeccomp,
  defaultSpec,
  type Spec,
  type SpecMiddleware,
  type SpecMount,
  withAddedCapabilities,
  withAnnotations,
  withAppArmor,
  withCapabilities,
  withCpu,
  withCwd,
  withDroppedCapabilities,
  withEnv,
  withHostNetwork,
  withHostname,
  withImageConfig,
  withMemoryLimit,
  withMounts,
  withNamespace,
  withNoNewPrivileges,
  withPidsLimit,
  withReadOnlyRoot,
  withSeccomp,
  withTty,
} from "@hull/oci/spec";
import type { FileOption } from "./file-options.ts";
import type { LogOption } from "./log-options.ts";
import type { NetworkOption, PublishOption } from "./network-options.ts";
import type { OutputOption, StdinOption } from "./stdio.ts";

/** What a file system of a container is. */
export type MountOption =
  | { readonly type: "bind"; readonly source: string; readonly target: string; readonly readOnly?: boolean }
  /** In memory; `size` in bytes. */
  | { readonly type: "tmpfs"; readonly target: string; readonly size?: number }
  /** As the OCI runtime specification has it. */
  | { readonly type: "spec"; readonly mount: SpecMount };

/** What a process is, beside its container. */
export interface ProcessOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Directory to start in; the image's, or the container's, unless told. */
  readonly cwd?: string;
  /** `name|uid[:name|gid]`. A name takes system calls on the daemon's host: see the guide. */
  readonly user?: string;
  /** A terminal: output comes on stdout alone, and lines are edited as at one. */
  readonly tty?: boolean | { readonly columns: number; readonly rows: number };
  /** `ignore` unless told. */
  readonly stdin?: StdinOption;
  /** `pipe` unless told, or for a container with a log: it has to be read, or the process waits when the pipe is full. */
  readonly stdout?: OutputOption;
  readonly stderr?: OutputOption;
}

/** What a container is. */
export interface CreateOptions extends Omit<ProcessOptions, "stdin" | "stdout" | "stderr"> {
  /** Id of the container; random unless told. */
  readonly id?: string;
  /** Arguments behind the image's entry point, in place of the image's own. */
  readonly command?: readonly string[];
  /** In place of the image's entry point, and of its command. */
  readonly entrypoint?: readonly string[];
  readonly hostname?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly mounts?: readonly MountOption[];
  /** `none` (nothing but loopback) unless told, or where ports are published, then `bridge`. */
  readonly network?: NetworkOption;
  /** Ports that are reached by ports of the host. */
  readonly publish?: readonly PublishOption[];
  /** Files that it has beside its image's, copied in. */
  readonly files?: readonly FileOption[];
  /**
   * Keeps what it prints in a log on the host, for as long as the container is there: whether anybody reads or not, and whether this program goes on
   * or not. `logs()` reads it, as `hull logs` does; `stdout` and `stderr` are not there to be read then. No log unless told.
   */
  readonly log?: boolean | LogOption;
  /** Limit of memory, in bytes. */
  readonly memory?: number;
  /** Limit of processor time: 1.5 is one and a half processors. */
  readonly cpus?: number;
  /** Limit of processes. */
  readonly pids?: number;
  /** Limit of what it may write to its root file system, in bytes; hull's overlayfs snapshotter can. */
  readonly storage?: number;
  readonly readOnly?: boolean;
  /** Names with or without `CAP_`; `ALL` for all. */
  readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] };
  /** Containerd's default profile unless told. */
  readonly seccomp?: "default" | "unconfined";
  /**
   * A profile of AppArmor by its name, or `unconfined`. `hull-default`, which is docker's default, unless told, where the host has AppArmor and
   * this program is root's.
   */
  readonly apparmor?: "unconfined" | (string & Record<never, never>);
  /** Whether set-user-ID programs may give rights: no unless told. */
  readonly allowNewPrivileges?: boolean;
  /** A shim by its name, `io.containerd.runc.v2` unless told. */
  readonly runtime?: string;
  /** `overlayfs` unless told. */
  readonly snapshotter?: string;
  readonly platform?: Platform;
  /** Last steps on the spec, for what has no option. */
  readonly spec?: (spec: Spec) => Spec;
}

/** What `run` takes. */
export interface RunOptions extends CreateOptions, Pick<ProcessOptions, "stdin" | "stdout" | "stderr"> {
  /** When the image is fetched: if it is missing, unless told. */
  readonly pull?: "missing" | "always" | "never";
  /** Ends the container: it is killed when the signal is aborted. */
  readonly signal?: AbortSignal;
}

/** µs over which the limit of processor time is counted. */
const cpuPeriod = 100_000;

/** Go's names of the architectures that there are seccomp profiles for. */
const architectures: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

/** The spec of a container, but for its user; `steps` connect it. @throws InvalidArgument for options that can't be */
export function specOf(
  options: CreateOptions,
  place: {
    id: string;
    namespace: string;
    image: ImageConfig;
    steps: readonly SpecMiddleware[];
    apparmor: string | undefined;
  },
): Spec {
  const { id, namespace, image, steps, apparmor } = place;
  const { env = {}, network = "none" } = options;
  const command = argumentsOf("command", options.command ?? []);
  const entrypoint = options.entrypoint && argumentsOf("entrypoint", options.entrypoint);
  const own: ImageConfig =
    entrypoint === undefined ? image : { ...image, config: { ...image.config, entrypoint: [...entrypoint], cmd: [] } };
  const hostname = options.hostname ?? id.slice(0, 12);
  return buildSpec(
    defaultSpec({ namespace, id }),
    withImageConfig(own, command),
    withNoNewPrivileges(options.allowNewPrivileges !== true),
    ...(network === "host" ? [withHostNetwork(hostname)] : [withHostname(hostname)]),
    ...(typeof network === "object" ? [withNamespace({ type: "network", path: network.namespace })] : []),
    ...steps,
    ...confinement(options),
    ...(apparmor === undefined ? [] : [withAppArmor(apparmor)]),
    ...(options.tty === undefined || options.tty === false ? [] : [withTty]),
    withEnv(variablesOf(env)),
    ...(options.cwd === undefined ? [] : [withCwd(options.cwd)]),
    ...(options.readOnly === true ? [withReadOnlyRoot] : []),
    withMounts((options.mounts ?? []).map(specMount)),
    ...limits(options),
    ...(options.annotations === undefined ? [] : [withAnnotations(options.annotations)]),
    options.spec ?? ((spec) => spec),
  );
}

function specMount(option: MountOption): SpecMount {
  switch (option.type) {
    case "bind":
      return {
        type: "bind",
        source: absolute(option.source),
        destination: absolute(option.target),
        options: ["rbind", option.readOnly === true ? "ro" : "rw"],
      };
    case "tmpfs":
      return {
        type: "tmpfs",
        source: "tmpfs",
        destination: absolute(option.target),
        options: ["nosuid", "nodev", ...(option.size === undefined ? [] : [`size=${option.size}`])],
      };
    case "spec":
      return option.mount;
  }
}

function absolute(path: string): string {
  if (!path.startsWith("/")) throw invalidArgument(`mount path "${path}" must begin with "/"`);
  return path;
}

function confinement({ capabilities = {}, seccomp = "default" }: CreateOptions): SpecMiddleware[] {
  const added = (capabilities.add ?? []).map(capabilityName);
  const dropped = (capabilities.drop ?? []).map(capabilityName);
  if (added.includes("CAP_ALL"))
    throw invalidArgument('capability "ALL" can only be dropped: name those that are to be added');
  const base = dropped.includes("CAP_ALL") ? [] : defaultCapabilities;
  const steps: SpecMiddleware[] = [
    withCapabilities(base),
    withAddedCapabilities(added),
    withDroppedCapabilities(dropped.filter((name) => name !== "CAP_ALL")),
  ];
  if (seccomp === "unconfined") return steps;
  return [
    ...steps,
    (spec) => {
      const architecture = architectures[process.arch] ?? process.arch;
      return withSeccomp(defaultSeccomp({ architecture, capabilities: spec.process.capabilities?.bounding ?? [] }))(
        spec,
      );
    },
  ];
}

const capabilityName = (name: string): string => name.toUpperCase().replace(/^(CAP_)?/, "CAP_");

/** Less than this can't be counted: 1 ms of each period. */
const leastCpus = 0.01;

function limits({ memory, cpus, pids }: CreateOptions): SpecMiddleware[] {
  const whole = (name: string, value: number): number => {
    if (Number.isSafeInteger(value) && value > 0) return value;
    throw invalidArgument(`limit "${name}" must be a whole number above 0, not ${value}`);
  };
  const share = (value: number): number => {
    if (Number.isFinite(value) && value >= leastCpus) return value;
    throw invalidArgument(`limit "cpus" must be a number, ${leastCpus} or more, not ${value}`);
  };
  return [
    ...(memory === undefined ? [] : [withMemoryLimit(whole("memory", memory))]),
    ...(cpus === undefined ? [] : [withCpu({ quota: Math.round(share(cpus) * cpuPeriod), period: cpuPeriod })]),
    ...(pids === undefined ? [] : [withPidsLimit(whole("pids", pids))]),
  ];
}

/** A program's arguments. @throws InvalidArgument for a line, which no shell would take apart */
export function argumentsOf(name: string, value: readonly string[]): readonly string[] {
  if (Array.isArray(value)) return value;
  throw invalidArgument(
    `"${name}" must be a list of arguments, as in ["ls", "-l"], not ${JSON.stringify(value)}: for a line of a shell say ["sh", "-c", line]`,
  );
}

/** What a process has in its environment. @throws InvalidArgument for a name that is none */
export function variablesOf(env: Readonly<Record<string, string>>): string[] {
  return Object.entries(env).map(([name, value]) => {
    if (name === "" || name.includes("=")) throw invalidArgument(`"${name}" can't be a variable's name`);
    return `${name}=${value}`;
  });
}
