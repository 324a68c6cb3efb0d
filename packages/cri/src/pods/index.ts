/**
 * Pod sandboxes: what the containers of a pod share, made before the first and taken down after the last.
 *
 *   run ──► ready ──stop──► not ready ──remove──► (gone)
 *              └── its pause process ends ──► not ready
 *
 * A pod's namespaces are pinned, and need no process; only a shared pid namespace, or a shim that isn't ours, needs one (`keeper.ts`). The
 * record is written before anything is made, and says `ready` when all is. After a crash `recover` takes down what never became ready,
 * finds the ready ones again, those of a containerd that was here before too, and removes what belongs to no pod: network attachments,
 * directories, mounts.
 *
 * Stopping and removing can be repeated, also where a part is gone already. Both work on one pod at a time; different pods don't wait for
 * each other.
 */

import type {
  LinuxContainerResources,
  PodSandbox,
  PodSandboxConfig,
  PodSandboxFilter,
  PodSandboxMetadata,
  PodSandboxStatusResponse,
} from "@hull/api/gen/cri/v1/cri";
import { nowNanos } from "@hull/api/timestamp";
import type { PluginEnd, PluginRun } from "@hull/cni";
import { contextFor } from "@hull/engine/context";
import { selfCommand } from "@hull/engine/self";
import { unlessGone } from "@hull/engine/unless-gone";
import { HullError, isCode, unknown } from "@hull/errors";
import { Turns } from "@hull/sys/turns";
import type { RuntimeHandler } from "../handlers.ts";
import { criNamespace, type Pod } from "../model.ts";
import { newId } from "../stores/index.ts";
import { within, withinLater } from "../wrap.ts";
import { podFiles, removePodDirectories, removeShm } from "./files.ts";
import { handlerOf } from "./handler.ts";
import { keeperKind, type PodKeeper } from "./keeper.ts";
import { NamespaceMaker } from "./namespace-maker.ts";
import { isNetworkClosed, planNamespaces } from "./namespaces.ts";
import type { PodsOptions } from "./options.ts";
import { PauseProcesses } from "./pause.ts";
import { recoverPods } from "./recover.ts";
import { ShimSandboxes } from "./shim-sandbox.ts";
import { PodStandIns } from "./stand-ins.ts";
import { allOver, directoriesOf, LeftBehind, removeRecord, saveRecord, startPod } from "./start.ts";
import { listedPod, matchesPod, podInfo, podStatus } from "./status.ts";

export type { CriDirectories, PodDirectories } from "./directories.ts";
export { isHostNetwork } from "./namespaces.ts";
export type { PodEngine, PodEvent, PodHooks, PodNri, PodsOptions } from "./options.ts";
export { podStatus } from "./status.ts";

const ctx = contextFor(criNamespace);

/** See above. */
export class Pods {
  readonly #options: PodsOptions;
  readonly #pause: PauseProcesses;
  readonly #shims: ShimSandboxes;
  readonly #standIns: PodStandIns;
  readonly #namespaces = new NamespaceMaker(() => selfCommand("namespaces"));
  readonly #turns = new Turns();
  readonly #closing = new AbortController();

  constructor(options: PodsOptions) {
    this.#options = options;
    this.#pause = new PauseProcesses(options);
    this.#shims = new ShimSandboxes(options.engine.sandboxControllers);
    this.#standIns = new PodStandIns(options);
  }

  /**
   * Makes a pod. When this gives its id, containers can be made in it.
   * @throws Unknown, mostly, in containerd's words: a name that is taken, a handler that isn't configured, what a network says
   */
  async run(
    { config, runtimeHandler }: { readonly config: PodSandboxConfig | undefined; readonly runtimeHandler: string },
    signal: AbortSignal,
  ): Promise<string> {
    const { pods, handlers, specs, selinux, hooks } = this.#options;
    if (config?.metadata === undefined) throw unknown("sandbox config must include metadata");
    await this.#turns.take();
    const id = newId();
    const name = sandboxName(config.metadata);
    within(`failed to reserve sandbox name ${JSON.stringify(name)}`, () => pods.reserveName(name, id));
    let pod: Pod | undefined;
    try {
      const handler = handlerOf(handlers, id, config, runtimeHandler);
      const directories = directoriesOf(this.#options, id);
      const plan = within(
        `failed to start sandbox ${JSON.stringify(id)}: failed to generate sandbox container spec`,
        () => planNamespaces(config, directories, this.#options.config.runtime, { networkOnly: !handler.own }),
      );
      const labels = specs.podLabels(config);
      pod = newPod(id, name, config, runtimeHandler, labels.process);
      pod.namespaces = plan.paths;
      const made = pod;
      const keeper = this.#keeperOf(made, handler);
      const namespaces = this.#namespaces;
      const parts = { options: this.#options, namespaces, handler, keeper, directories, signal };
      await startPod(made, plan, labels.mount, parts);
      if (keeper === undefined) this.#standIns.show(made, handler);
      hooks.onEvent(made, "created");
      this.#watch(made, keeper);
      hooks.onEvent(made, "started");
      return id;
    } catch (error) {
      if (pod !== undefined && error instanceof HullError && error.cause instanceof LeftBehind) {
        this.#tell("a pod that could not be started could not be taken down either: remove it", pod, error.cause);
        pods.add(pod);
      } else {
        if (pod !== undefined) selinux.release(pod.processLabel);
        pods.releaseName(name, id);
      }
      throw error;
    }
  }

  /**
   * Ends a pod's containers by force, and takes down what they share. An unknown one is fine. `signal` ends programs of networks that take too
   * long. @throws what a network says
   */
  async stop(idOrPrefix: string, signal?: AbortSignal): Promise<void> {
    const pod = this.#find(idOrPrefix);
    if (pod === undefined) return;
    await this.#turns.take();
    await this.#options.pods.locked(pod.id, () => this.#stop(pod, signal));
  }

  async #stop(pod: Pod, signal: AbortSignal | undefined): Promise<void> {
    const { hooks, networks, nri } = this.#options;
    // Not while its network is removed: that may take its time, and plugins that come would wait for it, and all other pods for them.
    await nri.shared(() => this.#stopProcesses(pod));
    if (pod.released === true) return;
    this.#standIns.hide(pod);
    // In the metadata at once; on the disk while the network is removed.
    const saved = this.#becomeNotReady(pod);
    saved.catch(() => undefined);
    const { net } = pod.namespaces;
    if (net !== undefined) {
      const netns = isNetworkClosed(pod.namespaces) ? "" : net;
      const { id, config, runtimeHandler } = pod;
      const removing = networks.remove({ id, config, runtimeHandler, netns }, signal);
      await removing.catch((error: unknown) => {
        if (pod.network.result !== undefined) throw error;
        this.#tell("a network could not be removed of a pod whose network was never complete", pod, error);
      });
    }
    const releasing = this.#namespaces.release(pod.namespaces);
    await withinLater(`failed to remove network namespace for sandbox ${JSON.stringify(pod.id)}`, releasing);
    await hooks.releasePod?.(pod.id);
    removeShm(directoriesOf(this.#options, pod.id));
    await saved;
    pod.released = true;
    await this.#save(pod);
  }

  async #stopProcesses(pod: Pod): Promise<void> {
    const { hooks, nri } = this.#options;
    const stopping = hooks.containersOf(pod.id).map((container) => {
      const what = `failed to stop container ${JSON.stringify(container.id)}`;
      return withinLater(what, hooks.stopContainer(container));
    });
    await allOver(stopping);
    if (pod.released === true) return;
    const keeper = this.#keeperOf(pod);
    if (keeper !== undefined)
      await withinLater(`failed to stop sandbox ${JSON.stringify(pod.id)}`, keeper.stop(pod.id));
    await nri
      .stopPodSandbox(pod)
      .catch((error: unknown) => this.#tell("NRI sandbox stop notification failed", pod, error));
  }

  /** Stops a pod if need be, and removes it with all of its containers. An unknown one is fine. */
  async remove(idOrPrefix: string, signal?: AbortSignal): Promise<void> {
    const pod = this.#find(idOrPrefix);
    if (pod === undefined) return;
    await this.#turns.take();
    await this.#options.pods.locked(pod.id, () => this.#remove(pod, signal));
  }

  async #remove(pod: Pod, signal: AbortSignal | undefined): Promise<void> {
    const { pods, nri, selinux } = this.#options;
    const { id } = pod;
    if (pods.exact(id) === undefined) return;
    await withinLater(`failed to forcibly stop sandbox ${JSON.stringify(id)}`, this.#stop(pod, signal));
    await nri.shared(async () => {
      await this.#removeStopped(pod);
      await removeRecord(this.#options, id);
      pods.remove(id);
    });
    pods.releaseName(pod.name, id);
    selinux.release(pod.processLabel);
  }

  async #removeStopped(pod: Pod): Promise<void> {
    const { hooks, nri } = this.#options;
    const { id } = pod;
    for (const container of hooks.containersOf(id)) {
      const what = `failed to remove container ${JSON.stringify(container.id)}`;
      await withinLater(what, hooks.removeContainer(container));
    }
    const keeper = this.#keeperOf(pod);
    if (keeper !== undefined) await withinLater(`failed to delete sandbox ${JSON.stringify(id)}`, keeper.remove(id));
    await removePodDirectories(directoriesOf(this.#options, id));
    hooks.onEvent(pod, "deleted");
    await nri
      .removePodSandbox(pod)
      .catch((error: unknown) => this.#tell("NRI pod removal notification failed", pod, error));
  }

  /** @throws NotFound */
  async status(idOrPrefix: string, verbose: boolean): Promise<Pick<PodSandboxStatusResponse, "status" | "info">> {
    const pod = this.#get(idOrPrefix, "an error occurred when try to find sandbox");
    if (!verbose) return { status: podStatus(pod), info: {} };
    const { engine } = this.#options;
    const record = pod.pause === undefined ? undefined : await unlessGone(() => engine.containers.get(ctx, pod.id));
    const info = podInfo(pod, { handler: this.#handlerOf(pod), record, pid: pod.pause?.pid ?? 0 });
    return { status: podStatus(pod), info: { info } };
  }

  /** Those that a filter lets through, in the order in which they came. */
  list(filter?: PodSandboxFilter): PodSandbox[] {
    return this.matching(filter).map(listedPod);
  }

  /** Runs a plugin of a network where it keeps nobody waiting: see `NamespaceMaker`. */
  runPlugin(plugin: PluginRun): Promise<PluginEnd> {
    return this.#namespaces.run(plugin);
  }

  /** The same as values. */
  matching(filter?: PodSandboxFilter): Pod[] {
    const { pods } = this.#options;
    const whole = filter === undefined || filter.id === "" ? filter : { ...filter, id: pods.resolve(filter.id) };
    return pods.list().filter((pod) => pod.state !== "starting" && matchesPod(pod, whole));
  }

  /** Keeps what a pod is to use from now on; whoever owns its control group has changed that. @throws NotFound; what NRI's plugins say */
  async update(
    idOrPrefix: string,
    overhead: LinuxContainerResources | undefined,
    resources: LinuxContainerResources | undefined,
  ): Promise<void> {
    const pod = this.#get(idOrPrefix, "failed to find sandbox");
    const { pods, nri, engine } = this.#options;
    await pods.locked(pod.id, async () => {
      await withinLater("NRI sandbox update failed", nri.updatePodSandbox(pod, overhead, resources));
      pod.updated = {
        ...(overhead === undefined ? {} : { overhead }),
        ...(resources === undefined ? {} : { resources }),
      };
      await this.#save(pod);
      const record = await engine.sandboxes.get(ctx, pod.id);
      const controller = record.sandboxer === "shim" ? engine.sandboxControllers.get("shim") : undefined;
      await controller?.update(ctx, record, ["extensions"]).catch((error: unknown) => {
        if (!isCode(error, "unimplemented")) throw error;
      });
      await nri
        .postUpdatePodSandbox(pod)
        .catch((error: unknown) => this.#tell("NRI post-update notification failed", pod, error));
    });
  }

  /** Paths of the files that a pod's containers have. */
  filesOf(pod: Pod): ReturnType<typeof podFiles> {
    return podFiles(directoriesOf(this.#options, pod.id), pod.config);
  }

  /**
   * Brings back the pods of earlier runs: to be called once, when tasks are known again and before containers are brought back. Pods that
   * never became ready are taken down.
   */
  async recover(): Promise<void> {
    await recoverPods({
      options: this.#options,
      namespaces: this.#namespaces,
      standIns: this.#standIns,
      handlerOf: (pod) => this.#handlerOf(pod),
      keeperOf: (pod) => this.#keeperOf(pod),
      watch: (pod, keeper) => this.#watch(pod, keeper),
      tell: (what, pod, error) => this.#tell(what, pod, error),
    });
  }

  close(): void {
    this.#closing.abort();
    this.#namespaces[Symbol.dispose]();
    this.#standIns.close();
  }

  /** The pod isn't ready any more once its keeper has ended. */
  #watch(pod: Pod, keeper: PodKeeper | undefined): void {
    if (keeper === undefined) return;
    const { signal } = this.#closing;
    void keeper
      .ended(pod.id, signal)
      .then(() => this.#becomeNotReady(pod))
      .catch((error: unknown) => {
        if (!signal.aborted) this.#tell("the end of a pod's process can't be waited for", pod, error);
      });
  }

  async #becomeNotReady(pod: Pod): Promise<void> {
    if (pod.state !== "ready") {
      pod.state = "notReady";
      return;
    }
    pod.state = "notReady";
    this.#options.hooks.onEvent(pod, "stopped");
    await this.#save(pod);
  }

  async #save(pod: Pod): Promise<void> {
    const handler = this.#handlerOf(pod);
    if (handler !== undefined) await unlessGone(() => saveRecord(this.#options, pod, handler));
  }

  /** Undefined for one that isn't configured any more. */
  #handlerOf({ id, config, runtimeHandler }: Pod): RuntimeHandler | undefined {
    try {
      return handlerOf(this.#options.handlers, id, config, runtimeHandler);
    } catch {
      return undefined;
    }
  }

  #keeperOf(pod: Pod, handler = this.#handlerOf(pod)): PodKeeper | undefined {
    // Without its handler, or where it was containerd's, it may have one that it doesn't need.
    const needed = handler === undefined ? "pause" : keeperKind(pod.config, handler);
    const kind = needed === "none" && pod.pause !== undefined ? "pause" : needed;
    if (kind === "shim") return this.#shims;
    return kind === "pause" ? this.#pause : undefined;
  }

  /** Undefined for an unknown one; @throws Unknown for the beginning of several, or an empty one */
  #find(idOrPrefix: string): Pod | undefined {
    const what = `an error occurred when try to find sandbox ${JSON.stringify(idOrPrefix)}`;
    return within(what, () => this.#options.pods.find(idOrPrefix));
  }

  #get(idOrPrefix: string, what: string): Pod {
    const { pods } = this.#options;
    const found = within(what, () => pods.find(idOrPrefix));
    if (found === undefined) throw new HullError("notFound", what);
    return found;
  }

  #tell(what: string, pod: Pod, error: unknown): void {
    this.#options.log.log("warn", what, { pod: pod.id, error: HullError.from(error).message });
  }
}

const sandboxName = ({ name, namespace, uid, attempt }: PodSandboxMetadata): string =>
  [name, namespace, uid, attempt].join("_");

const newPod = (id: string, name: string, config: PodSandboxConfig, runtimeHandler: string, label: string): Pod => ({
  id,
  name,
  config,
  runtimeHandler,
  createdAt: nowNanos(),
  state: "starting",
  namespaces: {},
  network: { ip: "", additionalIps: [] },
  processLabel: label,
});
