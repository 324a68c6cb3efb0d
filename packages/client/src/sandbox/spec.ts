import { existsSync, readFileSync } from "node:fs";
import { invalidArgument } from "@hull/errors";
import type { ImageConfig } from "@hull/oci/manifest";
import {
  buildSpec,
  defaultSeccomp,
  defaultSpec,
  type Seccomp,
  type Spec,
  type SpecMiddleware,
  type SpecMount,
  withAnnotations,
  withAppArmor,
  withArgs,
  withCapabilities,
  withCpu,
  withCwd,
  withEnv,
  withHostname,
  withImageConfig,
  withMemoryLimit,
  withMounts,
  withNoNewPrivileges,
  withOomScore,
  withoutMount,
  withPidsLimit,
  withReadOnlyRoot,
  withResources,
  withRlimits,
  withSeccomp,
  withUser,
  withUserNamespace,
} from "@hull/oci/spec";
import { argumentsOf, variablesOf } from "../sdk/run-options.ts";
import type { IdBlock } from "./isolation.ts";
import type { Isolation, SandboxLimits, SandboxOptions } from "./options.ts";
import type { Workspace } from "./workspace.ts";

export interface SandboxPlace {
  readonly id: string;
  readonly namespace: string;
  readonly image: ImageConfig;
  readonly limits: SandboxLimits;
  readonly workspace: Pick<Workspace, "work" | "temporary">;
  readonly user: { readonly uid: number; readonly gid: number };
  /** Ids of its user namespace; undefined without one. */
  readonly ids: IdBlock | undefined;
  readonly network: readonly SpecMiddleware[];
  readonly isolation: Isolation;
  /** Its profile of AppArmor, if it has one. */
  readonly apparmor: string | undefined;
}

/** What gVisor's kernel itself may have beside the sandbox's processes, in the same control group: with too few it dies. */
const gvisorThreads = 128;

/** µs over which processor time is counted. */
const cpuPeriod = 100_000;
/** The kernel's own: half of what a process may have, so that the host's programs outlive a sandbox's. */
const oomScore = 500;
/** Hull's shim forgets what a container has used when it ends, unless told so; containerd's does when it is deleted. */
const keepStatistics = "hull.dev/keep-statistics";
/** Go's names of the architectures that there are seccomp profiles for. */
const architectures: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

/** All that holds a sandbox, in the terms of the OCI runtime specification. */
export function sandboxSpec(options: SandboxOptions, place: SandboxPlace): Spec {
  const { id, namespace, image, limits, workspace, user, ids, network, isolation, apparmor } = place;
  const command = argumentsOf("command", options.command);
  const [program] = command;
  if (program === undefined) throw invalidArgument("a sandbox needs a command: say what to run");
  const shared = ["nosuid", "nodev"];
  const bind = (source: string, destination: string): SpecMount => ({
    type: "bind",
    source,
    destination,
    options: ["bind", "rw", ...shared],
  });
  const architecture = architectures[process.arch] ?? process.arch;
  return buildSpec(
    defaultSpec({ namespace, id }),
    withImageConfig(image, command),
    withArgs(command),
    withUser({ ...user, additionalGids: [user.gid] }),
    withNoNewPrivileges(true),
    withCapabilities([]),
    withSeccomp(withoutCalls(defaultSeccomp({ architecture, capabilities: [] }), betweenProcesses)),
    ...(apparmor === undefined ? [] : [withAppArmor(apparmor)]),
    withHostname("sandbox"),
    ...network,
    withReadOnlyRoot,
    // What is left that can be written counts: the workspace is limited, and everything in memory against the limit of it.
    withoutMount("/run"),
    withoutMount("/dev/mqueue"),
    withSmallSharedMemory(limits.disk),
    withMounts([bind(workspace.work, "/work"), bind(workspace.temporary, "/tmp")]),
    withCwd("/work"),
    withEnv(["HOME=/work", "TMPDIR=/tmp", ...variablesOf(options.env ?? {})]),
    withMemoryLimit(limits.memory),
    withoutSwap(limits.memory),
    withCpu({ quota: Math.max(Math.round(limits.cpus * cpuPeriod), 1000), period: cpuPeriod }),
    withPidsLimit(limits.pids + (isolation === "gvisor" ? gvisorThreads : 0)),
    withRlimits(rlimitsOf(limits)),
    withOomScore(oomScore),
    withAnnotations({ [keepStatistics]: "true" }),
    ...(ids === undefined ? [] : [withMapping(ids)]),
  );
}

/** What a debugger looks into other processes by: much code of the kernel, and nothing that a sandbox is for. */
const betweenProcesses: ReadonlySet<string> = new Set(["ptrace", "process_vm_readv", "process_vm_writev"]);

/** A profile that doesn't allow some calls which it did. */
function withoutCalls({ syscalls = [], ...profile }: Seccomp, refused: ReadonlySet<string>): Seccomp {
  const rules = syscalls.map((rule) => ({ ...rule, names: rule.names.filter((name) => !refused.has(name)) }));
  return { ...profile, syscalls: rules.filter(({ names }) => names.length > 0) };
}

function withMapping({ first, size }: IdBlock): SpecMiddleware {
  const mapping = [{ containerID: 0, hostID: first, size }];
  return withUserNamespace(mapping, mapping);
}

const withSmallSharedMemory =
  (bytes: number): SpecMiddleware =>
  (spec) => ({
    ...spec,
    mounts: spec.mounts.map((mount) =>
      mount.destination !== "/dev/shm"
        ? mount
        : {
            ...mount,
            options: [...(mount.options ?? []).filter((option) => !option.startsWith("size=")), `size=${bytes}`],
          },
    ),
  });

/** A host without swap may be one without accounts of it, where the limit can't be set. */
function withoutSwap(memory: number): SpecMiddleware {
  const swaps = existsSync("/proc/swaps") ? readFileSync("/proc/swaps", "utf8").trim().split("\n").length - 1 : 0;
  if (swaps === 0) return (spec) => spec;
  return withResources({ memory: { swap: memory } });
}

function rlimitsOf({ disk, timeMs, cpus }: SandboxLimits) {
  // A process that computes ends by this even if nobody is there any more to kill it.
  const seconds = Math.ceil((timeMs / 1000) * Math.max(cpus, 1)) + 5;
  const limit = (type: string, value: number) => ({ type, hard: value, soft: value });
  return [
    limit("RLIMIT_CORE", 0),
    limit("RLIMIT_CPU", seconds),
    limit("RLIMIT_FSIZE", disk),
    limit("RLIMIT_MSGQUEUE", 0),
    limit("RLIMIT_MEMLOCK", 65_536),
    limit("RLIMIT_NOFILE", 1024),
  ];
}
