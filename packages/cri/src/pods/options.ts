import type { ContainerStore } from "@hull/engine/containers/index";
import type { StandIns } from "@hull/engine/containers/stand-ins";
import type { LeaseStore } from "@hull/engine/leases/index";
import type { Logger } from "@hull/engine/log";
import type { TaskManager } from "@hull/engine/runtime/index";
import type { SandboxController } from "@hull/engine/sandbox/controller";
import type { SandboxStore } from "@hull/engine/sandbox/index";
import type { Snapshotter } from "@hull/engine/snapshots/index";
import type { CriConfig } from "../config.ts";
import type { RuntimeHandler, RuntimeHandlers } from "../handlers.ts";
import type { Images, Pod, PodContainer } from "../model.ts";
import type { PodNetworkManager } from "../network/index.ts";
import type { NriBridge } from "../nri/index.ts";
import type { ContainerSpecs, SpecHandler, UserFilesReader } from "../spec/index.ts";
import type { SelinuxLabeler } from "../spec/selinux.ts";
import type { PodStore } from "../stores/index.ts";

/** What pods are made with. */
export interface PodsOptions {
  readonly config: CriConfig;
  /** The CRI's own: below them are the pods'. */
  readonly directories: { readonly root: string; readonly state: string };
  readonly handlers: RuntimeHandlers;
  readonly pods: PodStore;
  readonly networks: PodNetworkManager;
  readonly engine: PodEngine;
  readonly images: Images;
  readonly specs: Pick<ContainerSpecs, "pause" | "podLabels">;
  readonly specHandler: (handler: RuntimeHandler) => SpecHandler | Promise<SpecHandler>;
  readonly selinux: Pick<SelinuxLabeler, "release" | "reserve">;
  readonly users: Pick<UserFilesReader, "of">;
  readonly nri: PodNri;
  readonly hooks: PodHooks;
  /** How long taking back a pod that could not be started may take, ms. Default: a minute, as containerd's. */
  readonly cleanUpTimeoutMs?: number | undefined;
  /** After how long those who were connected before the daemon began surely are again, ms. Default: 5 s. */
  readonly reconnectedMs?: number | undefined;
  readonly log: Logger;
}

/** The parts of the engine that pods use. */
export interface PodEngine {
  readonly sandboxes: SandboxStore;
  readonly leases: LeaseStore;
  readonly containers: ContainerStore;
  readonly tasks: TaskManager;
  readonly snapshotters: ReadonlyMap<string, Snapshotter>;
  /** By name; `shim` for handlers whose sandboxer it is. */
  readonly sandboxControllers: ReadonlyMap<string, SandboxController>;
  readonly standIns: StandIns;
}

export type PodNri = Pick<
  NriBridge,
  "shared" | "runPodSandbox" | "stopPodSandbox" | "removePodSandbox" | "updatePodSandbox" | "postUpdatePodSandbox"
>;

export type PodEvent = "created" | "started" | "stopped" | "deleted";

/** What pods ask of whoever keeps their containers. */
export interface PodHooks {
  onEvent(pod: Pod, event: PodEvent): void;
  containersOf(podId: string): readonly PodContainer[];
  /** By force, at once; one that has ended is fine. */
  stopContainer(container: PodContainer): Promise<void>;
  removeContainer(container: PodContainer): Promise<void>;
  /** Takes down what else a pod has, such as mounted images. */
  releasePod?(podId: string): Promise<void>;
}
