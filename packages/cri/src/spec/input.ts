import type { ContainerConfig, PodSandboxConfig } from "@hull/api/gen/cri/v1/cri";
import type { ImageConfig } from "@hull/oci/manifest";
import type { Device, Seccomp, Spec, SpecMount, UserFiles } from "@hull/oci/spec";
import type { CriRuntimeConfig, HandlerConfig } from "../config.ts";
import type { Pod } from "../model.ts";
import type { SelinuxLabels } from "./selinux.ts";

/** What of a runtime handler the spec depends on. */
export interface SpecHandler {
  readonly config: HandlerConfig;
  /** What `base_runtime_spec` names, as it was read. */
  readonly baseSpec?: Spec;
  /** The OCI runtime knows the mount option `rro`. */
  readonly recursiveReadOnly: boolean;
}

/** What of the host the spec depends on. */
export interface HostFacts {
  readonly hostname: string;
  /** Go's name, as in `hostPlatform().architecture`. */
  readonly architecture: string;
  /** There is nothing but cgroup v2. */
  readonly unifiedCgroups: boolean;
  /** Options of the host's cgroup2 mount that a second mount of it must repeat, or they are lost for all. */
  readonly cgroupOptions: readonly string[];
  /** Swap of cgroups can be limited. */
  readonly swapController: boolean;
  readonly hugetlbController: boolean;
  /** Capabilities (`CAP_…`) that this process has: no container can have more. */
  readonly capabilities: readonly string[];
  readonly seccomp: boolean;
  readonly apparmor: boolean;
  /** This process's own score, and whether it may give its children a lower one. */
  readonly oomScore: { readonly own: number; readonly mayLower: boolean };
}

/** Files of a pod that its containers have; what isn't there is left out. */
export interface PodFiles {
  readonly hostname?: string;
  readonly hosts?: string;
  readonly resolvConf?: string;
  /** The host's own `/dev/shm` where the pod shares the host's IPC. */
  readonly shm?: string;
}

/** Mounts that the configuration and the pod give, each with what it stands for on this host. */
export interface ResolvedMounts {
  readonly mounts: readonly SpecMount[];
  /** Of the root, if a mount propagates. */
  readonly rootfsPropagation?: "rshared" | "rslave";
}

/** A node of the host, where the container has it, and what it may do with it (some of `rwm`). */
export interface GivenDevice {
  readonly node: Device;
  readonly access: string;
}

/** All that a container's spec is made of. */
export interface ContainerSpecInput {
  readonly id: string;
  readonly pod: Pod;
  /** As the request had it. */
  readonly podConfig: PodSandboxConfig;
  readonly config: ContainerConfig;
  readonly imageName: string;
  readonly image: ImageConfig;
  readonly handler: SpecHandler;
  readonly settings: CriRuntimeConfig;
  readonly host: HostFacts;
  /** From `resolveMounts`. */
  readonly mounts: ResolvedMounts;
  /** From `resolveDevices`. */
  readonly devices: readonly GivenDevice[];
  /** All of the host's, for privileged containers. */
  readonly hostDevices?: readonly Device[];
  /** Of the container's root file system. */
  readonly users: UserFiles;
  readonly profiles: LoadedProfiles;
  readonly labels: SelinuxLabels;
  /** Of the container whose pid namespace is joined (mode TARGET). */
  readonly targetPid?: number;
}

/** Profiles as they are put into the spec. */
export interface LoadedProfiles {
  /** `default`: the one that fits the container's capabilities. */
  readonly seccomp?: Seccomp | "default";
  /** Name of a profile that the kernel has. */
  readonly apparmor?: string;
}

/** All that the spec of a pod's pause process is made of. */
export interface PauseSpecInput {
  readonly id: string;
  readonly config: PodSandboxConfig;
  readonly imageName: string;
  readonly image: ImageConfig;
  readonly handler: SpecHandler;
  readonly settings: CriRuntimeConfig;
  readonly host: HostFacts;
  /** Those that are pinned already; others are made with the process. */
  readonly namespaces: Pod["namespaces"];
  readonly files: PodFiles;
  readonly users: UserFiles;
  readonly profiles: LoadedProfiles;
  readonly labels: SelinuxLabels;
}
