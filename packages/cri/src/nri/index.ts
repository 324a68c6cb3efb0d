/**
 * Tells NRI's plugins of pods and containers, in the order that containerd keeps, and does to containers what they ask for.
 *
 *   start ──► plugins synchronized ──► a call per event (nothing of it is built while no plugin is there)
 *
 * What makes or ends a pod or container runs within `shared`: a plugin that comes is told of what there is while none of that goes on, so that it
 * neither misses anything nor hears of it twice.
 */

import { LinuxContainerResources } from "@hull/api/gen/cri/v1/cri";
import type { Container, ContainerUpdate } from "@hull/api/gen/nri/v1alpha1/nri";
import { LinuxResources, PodSandbox } from "@hull/api/gen/nri/v1alpha1/nri";
import type { Logger } from "@hull/engine/log";
import { adjustSpec, type SpecHost } from "@hull/engine/nri/adjust-spec";
import type { Nri, NriHost, NriStarter } from "@hull/engine/nri/index";
import { HullError, isCode } from "@hull/errors";
import type { Spec } from "@hull/oci/spec";
import type { Pod, PodContainer } from "../model.ts";
import type { PodStore } from "../stores/index.ts";
import { Gate } from "./gate.ts";
import { criOfNri, nriContainer, nriOfCri, nriPod } from "./messages.ts";

/** What NRI needs to know of containers, and may do to them. */
export interface NriContainers {
  /** As messages, those that have not ended. */
  messages(): Promise<Container[]>;
  /** One as a message, with what its exit or task says. */
  message(container: PodContainer, taskPid?: number): Promise<Container>;
  /** @throws what an update throws */
  update(id: string, resources: LinuxContainerResources): Promise<void>;
}

export interface NriOptions {
  readonly pods: PodStore;
  readonly host: SpecHost;
  readonly version: string;
  readonly log: Logger;
}

type ContainerInput = Parameters<typeof nriContainer>[1];

/** See above. */
export class NriBridge {
  readonly #options: NriOptions;
  readonly #gate = new Gate();
  #nri: Nri | undefined;
  #containers: NriContainers | undefined;
  /** What plugins were told has begun and not ended: stops and removals are told once. */
  readonly #begun = new Map<string, "running" | "stopped">();

  constructor(options: NriOptions) {
    this.#options = options;
  }

  /** Starts plugins. Those that can't be started are told of in the log. @throws what `NriStarter.start` throws */
  async start(starter: NriStarter, containers: NriContainers): Promise<void> {
    this.#containers = containers;
    const host: NriHost = {
      name: "containerd",
      version: this.#options.version,
      synchronize: (done) =>
        this.#gate.exclusive(async () => {
          const pods = this.#options.pods.list().filter(({ state }) => state === "ready" || state === "notReady");
          const listed = await containers.messages();
          for (const { id } of pods) this.#begun.set(id, this.#begun.get(id) ?? "running");
          for (const { id } of listed) this.#begun.set(id, this.#begun.get(id) ?? "running");
          await done(pods.map(nriPod), listed);
        }),
      update: (updates) => this.#update(updates),
    };
    this.#nri = await starter.start(host);
  }

  /** Runs what makes or ends pods and containers; not within another such. */
  shared<T>(work: () => Promise<T>): Promise<T> {
    return this.#nri === undefined ? work() : this.#gate.shared(work);
  }

  /** Undefined while nobody would be told. */
  get #active(): Nri | undefined {
    return this.#nri !== undefined && this.#nri.plugins().length > 0 ? this.#nri : undefined;
  }

  /** @throws what a plugin throws; plugins are told that the pod is gone then */
  async runPodSandbox(pod: Pod): Promise<void> {
    const nri = this.#active;
    this.#begun.set(pod.id, "running");
    try {
      await nri?.runPodSandbox(nriPod(pod));
    } catch (error) {
      await this.stopPodSandbox(pod).catch(() => undefined);
      await this.removePodSandbox(pod).catch(() => undefined);
      throw error;
    }
  }

  async stopPodSandbox(pod: Pod): Promise<void> {
    if (this.#begun.get(pod.id) !== "running") return;
    this.#begun.set(pod.id, "stopped");
    await this.#active?.stopPodSandbox(nriPod(pod));
  }

  async removePodSandbox(pod: Pod): Promise<void> {
    if (!this.#begun.delete(pod.id)) return;
    await this.#active?.removePodSandbox(nriPod(pod));
  }

  async updatePodSandbox(
    pod: Pod,
    overhead: LinuxContainerResources | undefined,
    resources: LinuxContainerResources | undefined,
  ): Promise<void> {
    const empty = LinuxResources.fromPartial({});
    await this.#active?.updatePodSandbox(nriPod(pod), nriOfCri(overhead) ?? empty, nriOfCri(resources) ?? empty);
  }

  async postUpdatePodSandbox(pod: Pod): Promise<void> {
    await this.#active?.postUpdatePodSandbox(nriPod(pod));
  }

  /** The spec as plugins want it. @throws what plugins throw, and what their wishes do */
  async createContainer(pod: Pod, container: ContainerInput, spec: Spec): Promise<Spec> {
    const nri = this.#active;
    this.#begun.set(container.id, "running");
    if (nri === undefined) return spec;
    const { adjust, updates } = await within("failed to get NRI adjustment for container", () =>
      nri.createContainer(nriPod(pod), nriContainer(spec, container)),
    );
    await this.#update(updates);
    return await within("failed to NRI-adjust container Spec", () => adjustSpec(spec, adjust, this.#options.host));
  }

  /** After a creation that failed. */
  async undoCreateContainer(pod: Pod, container: ContainerInput, spec: Spec): Promise<void> {
    const state = this.#begun.get(container.id);
    if (!this.#begun.delete(container.id)) return;
    const nri = this.#active;
    if (nri === undefined) return;
    const message = nriContainer(spec, container);
    if (state === "running") await this.#quietly("stop", () => nri.stopContainer(nriPod(pod), message));
    await this.#quietly("remove", () => nri.removeContainer(nriPod(pod), message));
  }

  async postCreateContainer(pod: Pod, container: PodContainer): Promise<void> {
    await this.#tell("post-create", pod, container, (nri, ...about) => nri.postCreateContainer(...about));
  }

  /** @throws what plugins throw */
  async startContainer(pod: Pod, container: PodContainer, taskPid: number): Promise<void> {
    const nri = this.#active;
    this.#begun.set(container.id, "running");
    if (nri !== undefined) await nri.startContainer(nriPod(pod), await this.#message(container, taskPid));
  }

  async postStartContainer(pod: Pod, container: PodContainer): Promise<void> {
    await this.#tell("post-start", pod, container, (nri, ...about) => nri.postStartContainer(...about));
  }

  /** The limits that plugins want instead. @throws what plugins throw */
  async updateContainer(
    pod: Pod,
    container: PodContainer,
    resources: LinuxContainerResources,
  ): Promise<LinuxContainerResources> {
    const nri = this.#active;
    const asked = nriOfCri(resources);
    if (nri === undefined || asked === undefined) return resources;
    const answer = await nri.updateContainer(nriPod(pod), await this.#message(container), asked);
    await this.#update(answer.updates);
    return criOfNri(answer.resources, resources);
  }

  async postUpdateContainer(pod: Pod, container: PodContainer): Promise<void> {
    await this.#tell("post-update", pod, container, (nri, ...about) => nri.postUpdateContainer(...about));
  }

  /** Told once, by whoever comes first: the exit or the stop. */
  async stopContainer(pod: Pod | undefined, container: PodContainer): Promise<void> {
    if (this.#begun.get(container.id) !== "running") return;
    this.#begun.set(container.id, "stopped");
    await this.#tell("stop", pod, container, async (nri, ...about) => {
      await this.#update(await nri.stopContainer(...about));
    });
  }

  async removeContainer(pod: Pod | undefined, container: PodContainer): Promise<void> {
    await this.stopContainer(pod, container);
    if (this.#begun.delete(container.id))
      await this.#tell("remove", pod, container, (nri, ...about) => nri.removeContainer(...about));
  }

  /** Tells of what plugins can't keep from happening. */
  async #tell(
    what: string,
    pod: Pod | undefined,
    container: PodContainer,
    call: (nri: Nri, ...about: Parameters<Nri["postCreateContainer"]>) => Promise<void>,
  ): Promise<void> {
    const nri = this.#active;
    if (nri === undefined) return;
    await this.#quietly(what, async () =>
      call(
        nri,
        pod === undefined ? PodSandbox.fromPartial({ id: container.podId }) : nriPod(pod),
        await this.#message(container),
      ),
    );
  }

  async #quietly(what: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#options.log.log("error", `NRI ${what} notification failed`, { error: HullError.from(error).message });
    }
  }

  async #message(container: PodContainer, taskPid?: number): Promise<Container> {
    if (this.#containers === undefined) throw new Error("NRI has not been started");
    return await this.#containers.message(container, taskPid);
  }

  /** Gives those that failed. */
  async #update(updates: readonly ContainerUpdate[]): Promise<ContainerUpdate[]> {
    const failed: ContainerUpdate[] = [];
    for (const update of updates) {
      const { resources } = update.linux ?? {};
      if (resources === undefined) continue;
      try {
        await this.#containers?.update(update.containerId, criOfNri(resources, noResources));
      } catch (error) {
        if (isCode(error, "notFound") || update.ignoreFailure) continue;
        failed.push(update);
        this.#options.log.log("warn", "an update that an NRI plugin asked for failed", {
          id: update.containerId,
          error: HullError.from(error).message,
        });
      }
    }
    return failed;
  }
}

const noResources = LinuxContainerResources.fromPartial({});

async function within<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code, message } = HullError.from(error);
    throw new HullError(code, `${what}: ${message}`, { cause: error });
  }
}
