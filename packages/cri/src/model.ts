/**
 * What the parts of the CRI share: pods and containers as this process knows them.
 *
 * They are values in memory, found by id and name; behind each is a record in the metadata of namespace `k8s.io` (a sandbox, a container with
 * containerd's labels and extensions) from which a restart makes them again. Whoever changes one holds its lock (`PodStore.locked`,
 * `ContainerStore.locked`) and has written the record before the value changes.
 */

import type {
  ContainerConfig,
  LinuxContainerResources,
  LinuxContainerUser,
  Mount,
  PodSandboxConfig,
} from "@hull/api/gen/cri/v1/cri";
import type { Nanoseconds } from "@hull/engine/labels";
import type { Descriptor } from "@hull/oci/descriptor";
import type { ImageConfig } from "@hull/oci/manifest";

/** The namespace of all that Kubernetes has here. */
export const criNamespace = "k8s.io";

/** A pod sandbox. */
export interface Pod {
  /** 64 hexadecimal digits. */
  readonly id: string;
  /** `<name>_<namespace>_<uid>_<attempt>`. */
  readonly name: string;
  readonly config: PodSandboxConfig;
  /** As asked for; empty for the default one. */
  readonly runtimeHandler: string;
  createdAt: Nanoseconds;
  /** `starting` ones aren't shown to clients. */
  state: "starting" | "ready" | "notReady" | "unknown";
  /** Set once its network, namespaces and shared memory are taken down. */
  released?: boolean;
  /** What its containers share. */
  namespaces: PodNamespaces;
  network: PodNetwork;
  /** The SELinux label of its processes; empty without SELinux. */
  processLabel: string;
  /** Pause process, where the pod has one. */
  pause?: PauseTask;
  /** Overhead and resources as they were updated to. */
  updated?: { overhead?: LinuxContainerResources; resources?: LinuxContainerResources };
}

/** Paths of pinned namespaces (bind mounts of `/proc/<pid>/ns/*`); a kind that is the host's, or each container's own, is missing. */
export interface PodNamespaces {
  net?: string;
  ipc?: string;
  uts?: string;
  user?: string;
  /** Only with a pause process, whose it is. */
  pid?: string;
}

/** Where a pod is in the network; all empty in the host's. */
export interface PodNetwork {
  ip: string;
  additionalIps: readonly string[];
  /** What the plugins answered, as JSON; for `crictl inspectp`. */
  result?: unknown;
}

/** A container that does nothing but keep a pod's pid namespace, or that stands for the pod to a shim which wants one. */
export interface PauseTask {
  pid: number;
  image: string;
  snapshotKey: string;
  snapshotter: string;
}

/** Where a container is on this host. */
export interface ContainerPlace {
  /** The `cgroupsPath` of its spec; undefined if the runtime chose. */
  readonly cgroupsPath: string | undefined;
  /** Of its own layer. */
  readonly snapshotter: string;
  readonly snapshotKey: string;
}

/** A container of a pod. */
export interface PodContainer {
  readonly id: string;
  /** `<container>_<pod>_<namespace>_<uid>_<attempt>`. */
  readonly name: string;
  readonly podId: string;
  readonly config: ContainerConfig;
  /** Id of the image (`sha256:…` of its config). */
  readonly imageId: string;
  /** Absolute; empty: output is dropped. */
  readonly logPath: string;
  /** Number of the signal that asks it to stop. */
  readonly stopSignal: string;
  readonly processLabel: string;
  /** As `ContainerStatus` shows them. */
  readonly mounts: readonly Mount[];
  readonly user: LinuxContainerUser | undefined;
  readonly place: ContainerPlace;
  status: ContainerRun;
}

/** How far a container is. Kept in a file of its own, so that it survives the daemon. */
export interface ContainerRun {
  state: "creating" | "created" | "running" | "exited" | "unknown";
  createdAt: Nanoseconds;
  /** 0: not yet. */
  startedAt: Nanoseconds;
  finishedAt: Nanoseconds;
  pid: number;
  exitCode: number;
  /** `Completed`, `Error`, `OOMKilled`, `StartError`, `Unknown` or empty. */
  reason: string;
  message: string;
  /** As asked for, or updated to. */
  resources: LinuxContainerResources | undefined;
  /** While they are set, other changes are refused. */
  starting: boolean;
  removing: boolean;
}

/** An image that is here, as the other parts need it. */
export interface LocalImage {
  /** `sha256:…`, the digest of its config. */
  readonly id: string;
  /** Names with a tag, and with a digest. */
  readonly tags: readonly string[];
  readonly digests: readonly string[];
  /** Of its layers, config and manifest as they are stored. */
  readonly size: number;
  readonly config: ImageConfig;
  /** Key of the snapshot that its containers start from. */
  readonly chainId: string;
  readonly pinned: boolean;
  /** Layers of what is no file system but a container's checkpoint. */
  readonly checkpoint?: readonly Descriptor[];
}

/** The part of the images that pods and containers need. */
export interface Images {
  /** By id, prefix of an id, tag or digest. @throws NotFound */
  get(reference: string): Promise<LocalImage>;
  /** As `get`, but fetches what isn't here. */
  ensure(reference: string): Promise<LocalImage>;
  /** Sees to it that the image's snapshots are there for a snapshotter, and gives the key of the topmost. */
  unpacked(image: LocalImage, snapshotter: string): Promise<string>;
}
