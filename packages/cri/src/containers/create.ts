import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import {
  ContainerConfig,
  ContainerEventType,
  type CreateContainerRequest,
  NamespaceMode,
  type PodSandboxConfig,
} from "@hull/api/gen/cri/v1/cri";
import { nowNanos } from "@hull/api/timestamp";
import type { ContainerInput } from "@hull/engine/containers/index";
import type { Context } from "@hull/engine/context";
import { maxLabelBytes } from "@hull/engine/metadata/labels";
import type { Mount } from "@hull/engine/mount/index";
import { unlessGone } from "@hull/engine/unless-gone";
import { unknown } from "@hull/errors";
import type { Spec } from "@hull/oci/spec";
import type { RuntimeHandler } from "../handlers.ts";
import type { LocalImage, Pod, PodContainer } from "../model.ts";
import { labelsOfRecord } from "../records/index.ts";
import { containerUser, idMappingsOf, resourcesOfSpec, stopSignalName } from "../spec/index.ts";
import { newId } from "../stores/index.ts";
import { within, withinLater } from "../wrap.ts";
import { type ContainersContext, passingLease } from "./context.ts";
import { containerExtension, type RecordedContainer } from "./record.ts";
import { checkpointIn, Restoration } from "./restore.ts";
import { newRun, writeRun } from "./run-file.ts";
import { runningTarget } from "./target.ts";
import { fillVolumes } from "./volumes.ts";

const specType = "types.containerd.io/opencontainers/runtime-spec/1/Spec";

/**
 * Makes a container of a pod: its spec, its snapshot, its record. Gives its id. What was made is undone when a later step fails.
 *
 * The steps that write to the disk go side by side: the record keeps the snapshot from the collector, whichever is there first.
 *
 * @throws in containerd's words: NotFound for pod or image, else mostly Unknown
 */
export async function createContainer(of: ContainersContext, request: CreateContainerRequest): Promise<string> {
  const { pods, containers, nri } = of.options;
  const { podSandboxId } = request;
  const pod = pods.get(podSandboxId, `failed to find sandbox id ${JSON.stringify(podSandboxId)}`);
  if (pod.state !== "ready") throw unknown(`sandbox container ${JSON.stringify(pod.id)} is not running`);
  const config = request.config ?? ContainerConfig.fromPartial({});
  if (config.metadata === undefined) throw unknown("container config must include metadata");
  const podConfig = request.sandboxConfig;
  if (podConfig?.metadata === undefined) throw unknown("pod sandbox config must include metadata");
  const { name: podName, namespace, uid } = podConfig.metadata;
  const id = newId();
  const name = [config.metadata.name, podName, namespace, uid, config.metadata.attempt].join("_");
  stopSignalName(config.stopSignal);
  within(
    `failed to reserve container name ${JSON.stringify(name)}; check if another CreateContainer request is in progress`,
    () => containers.reserveName(name, id),
  );
  try {
    return await nri.shared(async () => {
      const checking = checkpointIn(of, config.image?.image ?? "");
      const checkpoint = await withinLater("failed to check if this is a checkpoint image", checking);
      const placed = await withPlacedImages(of, pod, config);
      const restoration = checkpoint && (await Restoration.open(of, id, checkpoint, placed));
      const wanted = { id, name, pod, config: restoration?.config ?? placed, podConfig, restoration };
      return await new Creation(of, wanted).run();
    });
  } catch (error) {
    containers.releaseName(name, id);
    throw error;
  }
}

/** The configuration with the images that are its volumes mounted, and where. They are the pod's: a container that fails leaves them. */
async function withPlacedImages(of: ContainersContext, pod: Pod, config: ContainerConfig): Promise<ContainerConfig> {
  if (!config.mounts.some(({ image }) => image !== undefined)) return config;
  const { handlers, imageVolumes } = of.options;
  const { snapshotter } = within("failed to get sandbox runtime", () => handlers.get(pod.runtimeHandler));
  return { ...config, mounts: await imageVolumes.place(pod.id, config.mounts, snapshotter) };
}

interface Wanted {
  readonly id: string;
  readonly name: string;
  readonly pod: Pod;
  readonly config: ContainerConfig;
  readonly podConfig: PodSandboxConfig;
  readonly restoration: Restoration | undefined;
}

/** One creation under way. */
class Creation {
  readonly #of: ContainersContext;
  readonly #wanted: Wanted;
  #rootfs: Promise<Mount[]> | undefined;
  #leased: string | undefined;

  constructor(of: ContainersContext, wanted: Wanted) {
    this.#of = of;
    this.#wanted = wanted;
  }

  async run(): Promise<string> {
    const { id, pod, config, restoration } = this.#wanted;
    const { images, handlers, nri, containers, onEvent } = this.#of.options;
    await using undo = new AsyncDisposableStack();
    undo.defer(() => this.#removeDirectories());
    const image = restoration?.base ?? (await images.get(config.image?.image ?? ""));
    const handler = within("failed to get sandbox runtime", () => handlers.get(pod.runtimeHandler));
    undo.defer(() => this.#forgetRootfs(handler));
    const snapshotOf = async (lease?: string) => await this.#prepare(handler, image, lease);
    await this.#makeDirectories();
    const made = await this.#spec(handler, image, snapshotOf);
    undo.defer(() => this.#of.options.releaseLabel(made.processLabel === pod.processLabel ? "" : made.processLabel));
    const container = this.#recorded(image, made.processLabel);
    const labels = labelsOf(config.labels, image);
    const known = { ...container, labels };
    undo.defer(() => nri.undoCreateContainer(pod, known, made.spec));
    const spec = await withinLater("failed to create containerd container", nri.createContainer(pod, known, made.spec));
    await this.#record({ container, labels, spec, handler, snapshotOf, undo });
    if (made.volumes.length > 0 && this.#rootfs !== undefined)
      await withinLater("failed to create containerd container", fillVolumes(await this.#rootfs, made.volumes));
    if (restoration !== undefined && this.#rootfs !== undefined)
      await withinLater("failed to restore files", restoration.fill(await this.#rootfs, container.logPath));
    const run = newRun(nowNanos(), resourcesOfSpec(spec));
    writeRun(this.#of.root(id), run);
    const value: PodContainer = {
      ...container,
      mounts: config.mounts,
      user: containerUser(spec.process.user),
      place: { cgroupsPath: spec.linux.cgroupsPath, snapshotter: handler.snapshotter, snapshotKey: id },
      status: run,
    };
    this.#of.live.of(id).rootfs = await this.#rootfs;
    containers.add(value);
    undo.move();
    onEvent(ContainerEventType.CONTAINER_CREATED_EVENT, value);
    await nri.postCreateContainer(pod, value);
    return id;
  }

  #recorded(image: LocalImage, processLabel: string): RecordedContainer {
    const { id, name, pod, config, podConfig } = this.#wanted;
    const { logDirectory } = podConfig;
    return {
      id,
      name,
      podId: pod.id,
      config,
      imageId: image.id,
      imageName: nameOf(image),
      imageDigest: image.digests[0]?.split("@")[1] ?? "",
      logPath: logDirectory === "" || config.logPath === "" ? "" : join(logDirectory, config.logPath),
      stopSignal: stopSignalName(config.stopSignal) || (image.config.config.stopSignal ?? ""),
      processLabel,
    };
  }

  async #spec(handler: RuntimeHandler, image: LocalImage, snapshotOf: (lease?: string) => Promise<Mount[]>) {
    const { id, pod, config, podConfig } = this.#wanted;
    const { options } = this.#of;
    const { podFiles, specs, users } = options;
    const target = config.linux?.securityContext?.namespaceOptions;
    const targetPid =
      target?.pid === NamespaceMode.TARGET
        ? runningTarget(options.containers, pod.id, target.targetId).status.pid
        : undefined;
    const asksReadOnly = config.mounts.some(({ recursiveReadOnly }) => recursiveReadOnly);
    return await specs.container({
      id,
      pod,
      podConfig,
      config,
      imageName: config.image?.userSpecifiedImage || nameOf(image),
      image: image.config,
      handler: {
        config: handler.config,
        baseSpec: handler.baseSpec,
        recursiveReadOnly: asksReadOnly && (await options.features.of(handler)).recursiveReadOnlyMounts,
      },
      containerRoot: this.#of.root(id),
      podFiles: podFiles(pod),
      // A snapshot that is made for this is held by a lease until the record is there.
      rootfs: users.of(image.chainId, async () => await snapshotOf(await this.#lease())),
      targetPid,
    });
  }

  async #lease(): Promise<string> {
    const { engine, options } = this.#of;
    const lease = await options.leases.create(engine, this.#wanted.id, passingLease);
    this.#leased = lease.id;
    return lease.id;
  }

  async #endLease(): Promise<void> {
    const lease = this.#leased;
    this.#leased = undefined;
    if (lease !== undefined) await unlessGone(() => this.#of.options.leases.delete(this.#of.engine, lease));
  }

  /** Makes the snapshot, once. */
  #prepare(handler: RuntimeHandler, image: LocalImage, lease: string | undefined): Promise<Mount[]> {
    this.#rootfs ??= withinLater("failed to create containerd container", this.#prepared(handler, image, lease));
    return this.#rootfs;
  }

  async #prepared(handler: RuntimeHandler, image: LocalImage, lease: string | undefined): Promise<Mount[]> {
    const { id, config } = this.#wanted;
    const parent = await this.#of.options.images.unpacked(image, handler.snapshotter);
    const mappings = idMappingsOf(config.linux?.securityContext?.namespaceOptions?.usernsOptions);
    const text = (ranges: readonly { containerID: number; hostID: number; size: number }[]): string =>
      ranges.map(({ containerID, hostID, size }) => `${containerID}:${hostID}:${size}`).join(",");
    const labels =
      mappings === undefined
        ? undefined
        : {
            "containerd.io/snapshot/uidmapping": text(mappings.uids),
            "containerd.io/snapshot/gidmapping": text(mappings.gids),
          };
    const ctx: Context = { ...this.#of.engine, lease };
    return await this.#of.snapshotter(handler.snapshotter).prepare(ctx, id, parent, { labels });
  }

  async #forgetRootfs(handler: RuntimeHandler): Promise<void> {
    const { engine } = this.#of;
    const made = await this.#rootfs?.catch(() => undefined);
    if (made !== undefined)
      await unlessGone(() => this.#of.snapshotter(handler.snapshotter).remove(engine, this.#wanted.id));
    if (this.#leased !== undefined) await this.#endLease();
  }

  /** The record and the snapshot, side by side unless that is there already. */
  async #record({
    container,
    labels,
    spec,
    handler,
    snapshotOf,
    undo,
  }: {
    container: RecordedContainer;
    labels: Readonly<Record<string, string>>;
    spec: Spec;
    handler: RuntimeHandler;
    snapshotOf: () => Promise<Mount[]>;
    undo: AsyncDisposableStack;
  }): Promise<void> {
    const { engine, options } = this.#of;
    const { records } = options;
    const input: ContainerInput = {
      id: container.id,
      labels,
      image: container.imageName,
      runtime: { name: handler.runtime, options: handler.options },
      spec: { typeUrl: specType, value: new TextEncoder().encode(JSON.stringify(spec)) },
      snapshotter: handler.snapshotter,
      snapshotKey: container.id,
      sandbox: container.podId,
      extensions: containerExtension(container),
    };
    undo.defer(() => unlessGone(() => records.delete(engine, container.id)));
    const recording = withinLater("failed to create containerd container", records.create(engine, input));
    const results = await Promise.allSettled([recording, snapshotOf()]);
    const failed = results.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    await this.#endLease();
  }

  async #makeDirectories(): Promise<void> {
    const { id } = this.#wanted;
    for (const [what, path] of [
      ["container root directory", this.#of.root(id)],
      ["volatile container root directory", this.#of.state(id)],
    ] as const)
      await withinLater(
        `failed to create ${what} ${JSON.stringify(path)}`,
        mkdir(path, { recursive: true, mode: 0o755 }),
      );
  }

  async #removeDirectories(): Promise<void> {
    const { id } = this.#wanted;
    for (const path of [this.#of.root(id), this.#of.state(id)]) await rm(path, { recursive: true, force: true });
    this.#of.live.forget(id);
  }
}

/** A name that people know, if it has one. */
const nameOf = ({ id, tags, digests }: LocalImage): string => tags[0] ?? digests[0] ?? id;

/** The image's labels under the container's own. An image's that is too long is left out: nobody here chose it. */
function labelsOf(own: Readonly<Record<string, string>>, image: LocalImage): Readonly<Record<string, string>> {
  const fitting = Object.entries(image.config.config.labels).filter(
    ([key, value]) => Buffer.byteLength(key) + Buffer.byteLength(value) <= maxLabelBytes,
  );
  return labelsOfRecord("container", { ...Object.fromEntries(fitting), ...own });
}
