import type { ContainerEventType } from "@hull/api/gen/cri/v1/cri";
import type { ContainerStore } from "@hull/engine/containers/index";
import { contextFor } from "@hull/engine/context";
import type { LeaseStore } from "@hull/engine/leases/index";
import type { Logger } from "@hull/engine/log";
import type { TaskManager } from "@hull/engine/runtime/index";
import type { Snapshotter } from "@hull/engine/snapshots/index";
import { notFound } from "@hull/errors";
import type { CriConfig } from "../config.ts";
import type { RuntimeFeatures } from "../features.ts";
import type { RuntimeHandlers } from "../handlers.ts";
import { criNamespace, type Images, type Pod, type PodContainer } from "../model.ts";
import type { NriBridge } from "../nri/index.ts";
import { kindLabel } from "../records/index.ts";
import type { ContainerSpecs, HostFacts, ImageVolumes, PodFiles, UserFilesReader } from "../spec/index.ts";
import type { PodContainerStore, PodStore } from "../stores/index.ts";
import type { CheckpointParts } from "./checkpoint.ts";
import { LiveContainers } from "./live.ts";
import { writeRun } from "./run-file.ts";

/** Labels of leases that hold what is being made, or read: at the next start none of it is any more. */
export const passingLease: Readonly<Record<string, string>> = { [kindLabel]: "container" };

/** What containers are made with. */
export interface ContainersOptions {
  readonly config: CriConfig;
  readonly pods: PodStore;
  readonly containers: PodContainerStore;
  readonly handlers: RuntimeHandlers;
  readonly images: Images;
  readonly specs: ContainerSpecs;
  readonly imageVolumes: Pick<ImageVolumes, "place">;
  readonly features: RuntimeFeatures;
  readonly facts: HostFacts;
  readonly users: UserFilesReader;
  readonly nri: NriBridge;
  /** Files of a pod that its containers have. */
  readonly podFiles: (pod: Pod) => PodFiles;
  readonly releaseLabel: (processLabel: string) => void;
  /** Records. */
  readonly records: ContainerStore;
  readonly leases: LeaseStore;
  readonly checkpoints: CheckpointParts;
  readonly tasks: TaskManager;
  readonly snapshotters: ReadonlyMap<string, Snapshotter>;
  /** `<root>/containers` and `<state>/containers`. */
  readonly root: string;
  readonly state: string;
  /** Tells subscribers what happened to a container. */
  readonly onEvent: (type: ContainerEventType, container: PodContainer) => void;
  readonly log: Logger;
}

/** What the steps of a container's life share. */
export class ContainersContext {
  readonly options: ContainersOptions;
  readonly live = new LiveContainers();
  readonly engine = contextFor(criNamespace);
  /** The daemon stops: ends that are seen from now on are those of connections. */
  closed = false;

  constructor(options: ContainersOptions) {
    this.options = options;
  }

  /** Directory of what survives a reboot. */
  root = (id: string): string => `${this.options.root}/${id}`;
  state = (id: string): string => `${this.options.state}/${id}`;

  /** @throws NotFound, as containerd */
  snapshotter(name: string): Snapshotter {
    const found = this.options.snapshotters.get(name);
    if (found === undefined) throw notFound(`snapshotter ${name} was not found`);
    return found;
  }

  /** Changes how far a container is, on the disk first. */
  save(container: PodContainer, changes: Partial<PodContainer["status"]>): void {
    container.status = this.saveAhead(container, changes);
  }

  /** The same on the disk alone: for what nobody may see yet, but what nobody else will know after a crash. Gives what was written. */
  saveAhead(container: PodContainer, changes: Partial<PodContainer["status"]>): PodContainer["status"] {
    const run = { ...container.status, ...changes };
    writeRun(this.root(container.id), run);
    return run;
  }
}
