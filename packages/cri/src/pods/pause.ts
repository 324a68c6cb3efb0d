import { jsonTypes } from "@hull/api/typeurl";
import { contextFor } from "@hull/engine/context";
import { unlessGone } from "@hull/engine/unless-gone";
import { HullError, unknown } from "@hull/errors";
import { pauseImage } from "../config.ts";
import type { RuntimeHandler } from "../handlers.ts";
import { criNamespace, type LocalImage, type PauseTask, type Pod } from "../model.ts";
import type { PodDirectories } from "./directories.ts";
import { podFiles } from "./files.ts";
import type { PodKeeper } from "./keeper.ts";
import type { PodsOptions } from "./options.ts";
import { podExtension, podLabels } from "./record.ts";

const SIGKILL = 9;

type PauseOptions = Pick<PodsOptions, "config" | "engine" | "images" | "specHandler" | "specs" | "users">;

/**
 * Processes that do nothing, one to a pod that needs it: pid 1 of a pid namespace that its containers share, or what stands for the pod to a
 * shim that isn't ours. Each is a container by the pod's id, with a task and a snapshot, as all pods are with containerd.
 */
export class PauseProcesses implements PodKeeper {
  readonly #options: PauseOptions;

  constructor(options: PauseOptions) {
    this.#options = options;
  }

  /** Starts a pod's. If that fails, nothing is left of it. */
  async start(pod: Pod, handler: RuntimeHandler, directories: PodDirectories, mountLabel: string): Promise<PauseTask> {
    const { engine, specs, specHandler, users, config } = this.#options;
    const ctx = contextFor(criNamespace, { lease: pod.id });
    const { id } = pod;
    const imageName = pauseImage(config.images);
    const image = await this.#image(imageName);
    const { snapshotter: snapshotterName } = handler;
    const snapshotter = engine.snapshotters.get(snapshotterName);
    if (snapshotter === undefined)
      throw unknown(
        `failed to create containerd container: snapshotter not loaded: ${snapshotterName}: invalid argument`,
      );
    const parent = await this.#options.images.unpacked(image, snapshotterName);
    await using undo = new AsyncDisposableStack();
    const rootfs = await snapshotter.prepare(ctx, id, parent, { labels: idMapLabels(pod) });
    undo.defer(() => unlessGone(() => snapshotter.remove(ctx, id)));
    const spec = await specs.pause({
      id,
      config: pod.config,
      imageName,
      image: image.config,
      handler: await specHandler(handler),
      namespaces: pod.namespaces,
      podFiles: podFiles(directories, pod.config),
      rootfs: users.of(parent, async () => rootfs),
      labels: { process: pod.processLabel, mount: mountLabel },
    });
    // Awaited: while the image's snapshots go to the disk its record isn't there yet, without which there is no task.
    await engine.containers.create(ctx, {
      id,
      labels: podLabels(pod.config),
      image: imageName,
      runtime: { name: handler.runtime, ...(handler.options === undefined ? {} : { options: handler.options }) },
      spec: { typeUrl: jsonTypes.spec, value: new TextEncoder().encode(JSON.stringify(spec)) },
      snapshotter: snapshotterName,
      snapshotKey: id,
      sandbox: "",
      extensions: podExtension(pod),
    });
    undo.defer(() => unlessGone(() => engine.containers.delete(ctx, id)));
    const task = { id, rootfs, terminal: false, stdin: "", stdout: "", stderr: "" };
    const { pid } = await engine.tasks.create(ctx, {
      ...task,
      groupsPerShim: handler.podsPerShim,
      ...(handler.runtimePath === undefined ? {} : { runtimePath: handler.runtimePath }),
    });
    undo.defer(() => this.#endTask(id));
    try {
      await engine.tasks.start(ctx, id);
    } catch (error) {
      const { code, message } = HullError.from(error);
      throw new HullError(code, `failed to start sandbox container task ${JSON.stringify(id)}: ${message}`, {
        cause: error,
      });
    }
    undo.move();
    return { pid, image: imageName, snapshotKey: id, snapshotter: snapshotterName };
  }

  async #image(name: string): Promise<LocalImage> {
    try {
      return await this.#options.images.ensure(name);
    } catch (error) {
      const { code, message } = HullError.from(error);
      throw new HullError(code, `failed to pull image ${JSON.stringify(name)}: ${message}`, { cause: error });
    }
  }

  /** Ends a pod's process. One that has ended is fine. */
  stop(id: string): Promise<void> {
    return this.#endTask(id);
  }

  /** Kills, waits, deletes; whatever of it is there. */
  async #endTask(id: string): Promise<void> {
    const { tasks } = this.#options.engine;
    const ctx = contextFor(criNamespace);
    await unlessGone(async () => tasks.kill(ctx, id, { signal: SIGKILL }));
    await unlessGone(async () => tasks.wait(ctx, id));
    await unlessGone(async () => tasks.delete(ctx, id));
  }

  /** Ends it, and removes its container and snapshot. What isn't there is fine. */
  async remove(id: string): Promise<void> {
    const { containers, snapshotters } = this.#options.engine;
    const ctx = contextFor(criNamespace);
    await this.#endTask(id);
    const record = await unlessGone(() => containers.get(ctx, id));
    if (record === undefined) return await this.#removeSnapshots(id);
    await unlessGone(async () => snapshotters.get(record.snapshotter)?.remove(ctx, record.snapshotKey));
    await unlessGone(async () => containers.delete(ctx, id));
  }

  /** Of one that was stopped before its container was there. */
  async #removeSnapshots(id: string): Promise<void> {
    const names = new Set(this.#snapshotterNames());
    for (const name of names) {
      await unlessGone(async () => this.#options.engine.snapshotters.get(name)?.remove(contextFor(criNamespace), id));
    }
  }

  #snapshotterNames(): string[] {
    const { images, runtime } = this.#options.config;
    return [images.snapshotter, ...Object.values(runtime.containerd.runtimes).map(({ snapshotter }) => snapshotter)];
  }

  /** The pid of a pod's process while it runs. */
  async pidOf(id: string): Promise<number | undefined> {
    try {
      const { pid, status } = await this.#options.engine.tasks.get(contextFor(criNamespace), id);
      return status === "running" || status === "paused" ? pid : undefined;
    } catch {
      return undefined;
    }
  }

  /** Resolves when a pod's process has ended. */
  async ended(id: string, signal: AbortSignal): Promise<void> {
    await unlessGone(async () => this.#options.engine.tasks.wait(contextFor(criNamespace, { signal }), id));
  }
}

/** Snapshotters that can map ids learn of it by labels. */
function idMapLabels({ config }: Pod): Record<string, string> {
  const { uids = [], gids = [] } = config.linux?.securityContext?.namespaceOptions?.usernsOptions ?? {};
  const [uid, gid] = [uids[0], gids[0]];
  if (uid === undefined || gid === undefined) return {};
  const text = ({ containerId, hostId, length }: typeof uid) => `${containerId}:${hostId}:${length}`;
  return { "containerd.io/snapshot/uidmapping": text(uid), "containerd.io/snapshot/gidmapping": text(gid) };
}
