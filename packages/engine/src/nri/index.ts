import type {
  Container,
  ContainerAdjustment,
  ContainerUpdate,
  LinuxResources,
  PodSandbox,
} from "@hull/api/gen/nri/v1alpha1/nri";
import type { Logger } from "../log.ts";
import type { ValidatorRules } from "./default-validator.ts";

/**
 * NRI, the Node Resource Interface: programs that see pods and containers come and go, and may change them.
 *
 *   startNri(options, host) ──► installed plugins launched, others accepted at the socket ──► each: register ──► configure ──► synchronize
 *     ──► a call per event, in the order of the plugins' indexes, one event at a time ──► close
 *
 * What plugins want of a new container is merged; two that want different things of the same make its creation fail. A plugin that doesn't
 * answer in time, or whose connection ends, is left out from then on, and the event goes on without it; an error that it answers makes
 * the call fail. As with containerd it is the CRI service that starts this and calls it: containers of other clients no plugin sees.
 */
export interface Nri {
  runPodSandbox(pod: PodSandbox): Promise<void>;
  updatePodSandbox(pod: PodSandbox, overhead: LinuxResources, resources: LinuxResources): Promise<void>;
  postUpdatePodSandbox(pod: PodSandbox): Promise<void>;
  stopPodSandbox(pod: PodSandbox): Promise<void>;
  removePodSandbox(pod: PodSandbox): Promise<void>;
  /**
   * What to change of a container before it is made (see `adjustSpec`), and of others with it.
   * @throws InvalidArgument if plugins are at odds; PermissionDenied if one that validates rejects the result
   */
  createContainer(pod: PodSandbox, container: Container): Promise<Creation>;
  postCreateContainer(pod: PodSandbox, container: Container): Promise<void>;
  startContainer(pod: PodSandbox, container: Container): Promise<void>;
  postStartContainer(pod: PodSandbox, container: Container): Promise<void>;
  /** What to update a container to, and of others with it. */
  updateContainer(
    pod: PodSandbox,
    container: Container,
    resources: LinuxResources,
  ): Promise<{ resources: LinuxResources; updates: ContainerUpdate[] }>;
  postUpdateContainer(pod: PodSandbox, container: Container): Promise<void>;
  /** What to update of others when a container was stopped. */
  stopContainer(pod: PodSandbox, container: Container): Promise<ContainerUpdate[]>;
  removeContainer(pod: PodSandbox, container: Container): Promise<void>;
  /** Names of the plugins that are there, in their order. */
  plugins(): string[];
  /** Ends all plugins that were launched, and lets go of the others. */
  close(): Promise<void>;
}

/** What the plugin graph has: nothing of NRI is loaded before it is started. */
export interface NriStarter {
  /** Starts with a host whose pods and containers plugins see. @throws InvalidArgument for a name in the plugins' folder that is none */
  start(host: NriHost): Promise<Nri>;
}

export interface NriOptions {
  /** Where plugins connect by themselves; undefined: none may. */
  socket: string | undefined;
  /** Programs that are launched, and their configurations. */
  plugins: string;
  configs: string;
  /** Milliseconds. */
  registrationTimeout: number;
  requestTimeout: number;
  /** What is rejected whatever plugins validate. */
  rules?: ValidatorRules;
  log: Logger;
}

export interface Creation {
  adjust: ContainerAdjustment;
  updates: ContainerUpdate[];
}

/** Whose pods and containers plugins see. */
export interface NriHost {
  /** What plugins are told of the runtime. */
  readonly name: string;
  readonly version: string;
  /** All that there are, for a new plugin. No pod or container may come or go until `done` resolves. */
  synchronize(done: (pods: PodSandbox[], containers: Container[]) => Promise<void>): Promise<void>;
  /** Applies updates that a plugin asked for; gives those that failed. */
  update(updates: ContainerUpdate[]): Promise<ContainerUpdate[]>;
}

/** Starts NRI with a host whose pods and containers plugins see. @throws InvalidArgument for a name in the plugins' folder that is none */
export async function startNri(options: NriOptions, host: NriHost): Promise<Nri> {
  const { NriManager } = await import("./manager.ts");
  return await NriManager.start(options, host);
}
