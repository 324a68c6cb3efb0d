/**
 * The containers of pods.
 *
 *   create ──► created ──start──► running ──ends, or stop──► exited ──remove──► (gone)
 *                  └── can't be started: exited with 128 ──────┘
 *
 * Each has a record in the metadata, as containerd's, a snapshot, a directory with a file that says how far it is, and while it runs a task in its
 * pod's shim, which writes its log. After a restart `recover` makes all of them again from these.
 */

import type { TaskOOM } from "@hull/api/gen/containerd/events/task";
import type {
  ContainerFilter,
  ContainerStatus,
  CreateContainerRequest,
  LinuxContainerResources,
  Container as WireContainer,
} from "@hull/api/gen/cri/v1/cri";
import { Container as NriMessage } from "@hull/api/gen/nri/v1alpha1/nri";
import { unlessGone } from "@hull/engine/unless-gone";
import { notFound, unknown } from "@hull/errors";
import type { Process, Spec } from "@hull/oci/spec";
import type { ContainerStreams } from "../logs/index.ts";
import type { PodContainer } from "../model.ts";
import type { NriContainers } from "../nri/index.ts";
import { nriContainer } from "../nri/messages.ts";
import { within } from "../wrap.ts";
import { checkpointContainer } from "./checkpoint.ts";
import { ContainersContext, type ContainersOptions } from "./context.ts";
import { createContainer } from "./create.ts";
import { oomReason } from "./exit.ts";
import { containerInfo } from "./info.ts";
import { containerOfRecord } from "./record.ts";
import { recoverContainers } from "./recover.ts";
import { removeContainer } from "./remove.ts";
import { startContainer } from "./start.ts";
import { stopContainer } from "./stop.ts";
import { streamsOf } from "./streams.ts";
import { updateResources } from "./update.ts";
import { toWireContainer, toWireStatus, wireState } from "./wire.ts";

export type { ContainersOptions } from "./context.ts";

/** See above. Where an id is taken, the beginning of one is too. */
export class Containers implements NriContainers {
  readonly #of: ContainersContext;

  constructor(options: ContainersOptions) {
    this.#of = new ContainersContext(options);
  }

  /** Gives the id. @throws NotFound for pod or image; else mostly Unknown, in containerd's words */
  create(request: CreateContainerRequest): Promise<string> {
    return createContainer(this.#of, request);
  }

  /** @throws NotFound; what starting it throws, after which it has ended */
  start(id: string): Promise<void> {
    return startContainer(this.#of, id);
  }

  /** Within `timeoutMs` by its own signal, then by force. Fine for one that isn't there, or doesn't run. */
  async stop(id: string, timeoutMs: number, signal?: AbortSignal): Promise<void> {
    const container = this.#find(id);
    if (container === undefined) return;
    const { nri, pods } = this.#of.options;
    await nri.shared(async () => {
      await stopContainer(this.#of, container, timeoutMs, signal);
      await nri.stopContainer(pods.exact(container.podId), container);
    });
  }

  /** As `stop` at once, for one whose pod is being stopped, within NRI's `shared` already. */
  async kill(container: PodContainer): Promise<void> {
    const { nri, pods } = this.#of.options;
    await stopContainer(this.#of, container, 0);
    await nri.stopContainer(pods.exact(container.podId), container);
  }

  /** Kills it first if it runs. Fine for one that isn't there. */
  async remove(id: string): Promise<void> {
    const container = this.#find(id);
    if (container !== undefined) await this.#of.options.nri.shared(() => removeContainer(this.#of, container));
  }

  /** As `remove`, within NRI's `shared` already. */
  removeOne(container: PodContainer): Promise<void> {
    return removeContainer(this.#of, container);
  }

  /** @throws NotFound */
  async status(id: string): Promise<ContainerStatus> {
    return await toWireStatus(this.#of.options.containers.get(id), this.#of.options.images);
  }

  /** Of all of a pod. */
  statusesOf(podId: string): Promise<ContainerStatus[]> {
    const { containers, images } = this.#of.options;
    return Promise.all(containers.ofPod(podId).map((container) => toWireStatus(container, images)));
  }

  /** For `crictl inspect`, as JSON. @throws NotFound */
  async info(id: string): Promise<string> {
    return await containerInfo(this.#of, this.#of.options.containers.get(id));
  }

  /** Those that a filter lets through, in the order in which they came. */
  list(filter?: ContainerFilter): WireContainer[] {
    return this.matching(filter).map(toWireContainer);
  }

  /** The same as values. */
  matching(filter?: ContainerFilter): PodContainer[] {
    const { containers, pods } = this.#of.options;
    const all = containers.list();
    if (filter === undefined) return all;
    const id = filter.id === "" ? "" : containers.resolve(filter.id);
    const podId = filter.podSandboxId === "" ? "" : pods.resolve(filter.podSandboxId);
    const labels = Object.entries(filter.labelSelector);
    return all.filter(
      (container) =>
        (id === "" || container.id === id) &&
        (podId === "" || container.podId === podId) &&
        (filter.state === undefined || wireState(container.status.state) === filter.state.state) &&
        labels.every(
          ([key, value]) => Object.hasOwn(container.config.labels, key) && container.config.labels[key] === value,
        ),
    );
  }

  /** Changes limits, as plugins of NRI agree to. @throws NotFound; what the runtime says; the old limits are in force then */
  async updateResources(id: string, resources: LinuxContainerResources | undefined): Promise<void> {
    const { containers, pods, nri } = this.#of.options;
    const container = containers.get(id, "failed to find container");
    const pod = pods.get(container.podId);
    await nri.shared(async () => {
      const wanted = resources === undefined ? undefined : await nri.updateContainer(pod, container, resources);
      await updateResources(this.#of, container, wanted);
      await nri.postUpdateContainer(pod, container);
    });
  }

  /** Has the log opened anew, which somebody has renamed. @throws NotFound; Unknown if the container doesn't run */
  async reopenLog(id: string): Promise<void> {
    const container = this.#of.options.containers.get(id);
    if (container.status.state !== "running") throw unknown("container is not running");
    await streamsOf(this.#of, container).reopenLog();
  }

  /** Writes a checkpoint of a running container to a file. @throws NotFound; Unknown without CRIU, and with the runtime's reason */
  checkpoint(request: { readonly containerId: string; readonly location: string }): Promise<void> {
    return checkpointContainer(this.#of, request);
  }

  /** What a client of a running container takes part in. */
  streamsOf(container: PodContainer): ContainerStreams {
    return streamsOf(this.#of, container);
  }

  /** What its first process is made from. @throws NotFound */
  async processOf(id: string): Promise<Process> {
    return (await this.#spec(id)).spec.process;
  }

  /** The kernel killed one of a container's processes for want of memory. */
  noteOutOfMemory({ containerId }: TaskOOM): void {
    const container = this.#of.options.containers.exact(containerId);
    if (container === undefined || container.status.reason === oomReason) return;
    this.#of.save(container, { reason: oomReason });
  }

  /** Finds those of an earlier run. Called once, when their pods and tasks are known. */
  recover(): Promise<void> {
    return recoverContainers(this.#of);
  }

  /** Lets go of them; they go on. */
  close(): void {
    this.#of.closed = true;
  }

  /** For plugins of NRI: those that have not ended. */
  async messages(): Promise<NriMessage[]> {
    const live = this.#of.options.containers
      .list()
      .filter(({ status }) => status.state === "created" || status.state === "running");
    return await Promise.all(live.map((container) => this.message(container)));
  }

  async message(container: PodContainer, taskPid?: number): Promise<NriMessage> {
    const found = await unlessGone(() => this.#spec(container.id));
    if (found === undefined) return NriMessage.fromPartial({ id: container.id, podSandboxId: container.podId });
    const { labels, imageName, imageDigest } = {
      ...found,
      ...containerOfRecord(found.record),
      labels: found.record.labels,
    };
    return nriContainer(found.spec, { ...container, labels, imageName, imageDigest, taskPid });
  }

  /** @throws NotFound */
  async update(id: string, resources: LinuxContainerResources): Promise<void> {
    const container = this.#of.options.containers.exact(id);
    if (container === undefined) throw notFound(`container ${JSON.stringify(id)}`);
    await updateResources(this.#of, container, resources);
  }

  async #spec(id: string) {
    const record = await this.#of.options.records.get(this.#of.engine, id);
    return { record, spec: JSON.parse(new TextDecoder().decode(record.spec.value)) as Spec };
  }

  #find(id: string): PodContainer | undefined {
    return within(`an error occurred when try to find container ${JSON.stringify(id)}`, () =>
      this.#of.options.containers.find(id),
    );
  }
}
