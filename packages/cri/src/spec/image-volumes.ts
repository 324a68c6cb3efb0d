/** Images as volumes: the content of one mounted read-only into the containers of a pod (KEP-4639). */

import { readlinkSync } from "node:fs";
import { mkdir, readdir, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { ImageSpec, Mount } from "@hull/api/gen/cri/v1/cri";
import { contextFor } from "@hull/engine/context";
import type { LeaseStore } from "@hull/engine/leases/index";
import type { Snapshotter } from "@hull/engine/snapshots/index";
import { unlessGone } from "@hull/engine/unless-gone";
import { isCode, unknown } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { Descriptor, open, openFlags } from "@hull/sys/fd";
import { mountAll, mountInfo, unmountAll } from "@hull/sys/mount";
import { openInside } from "@hull/sys/resolve";
import { criNamespace, type Images } from "../model.ts";
import { within, withinLater } from "../wrap.ts";

/** What image volumes are made with. */
export interface ImageVolumesOptions {
  /** Below it is a directory per pod, with one per image. */
  readonly directory: string;
  readonly images: Images;
  readonly snapshotters: ReadonlyMap<string, Snapshotter>;
  readonly leases: LeaseStore;
}

/**
 * Mounts images for pods, each once however many of the pod's containers have it.
 *
 *   place(pod, mounts) ──► mounts with a place on this host … ──► release(pod): unmounted, snapshots removed
 *
 * The snapshots are views, held by the pod's lease. What is mounted is known by the directories, so that a restart loses nothing.
 */
export class ImageVolumes {
  readonly #options: ImageVolumesOptions;
  readonly #underWay = new Map<string, Promise<void>>();

  constructor(options: ImageVolumesOptions) {
    this.#options = options;
  }

  /**
   * The mounts of a container's configuration, those of images with `hostPath` and the image's id in them; others as they are.
   * @throws with `ImageVolumeMountFailed` in the text, by which the kubelet knows it; NotFound for an image that isn't here
   */
  async place(podId: string, mounts: readonly Mount[], snapshotter: string): Promise<Mount[]> {
    const placed: Mount[] = [];
    for (const mount of mounts)
      placed.push(
        mount.image === undefined
          ? mount
          : await withinLater(
              "failed to mount image volume: ImageVolumeMountFailed",
              this.#place(podId, mount, mount.image, snapshotter),
            ),
      );
    return placed;
  }

  async #place(podId: string, mount: Mount, { image: reference, ...rest }: ImageSpec, name: string): Promise<Mount> {
    const where = JSON.stringify(mount.containerPath);
    if (mount.hostPath !== "") throw unknown(`hostpath must be empty while mount image: ${where}`);
    if (!mount.readonly) throw unknown(`readonly must be true while mount image: ${where}`);
    if (reference === "") throw unknown(`image not specified in: ${where}`);
    const { images } = this.#options;
    const image = await images.get(reference);
    const target = join(this.#options.directory, podId, image.id.replace(/^.*:/, ""));
    const chainId = await withinLater("failed to unpack image volume", images.unpacked(image, name));
    await this.#mounted(podId, target, () => this.#mount(podId, mount, chainId, name, target));
    const hostPath =
      mount.imageSubPath === ""
        ? target
        : within(
            `failed to ensure image subpath ${JSON.stringify(mount.imageSubPath)} in ${JSON.stringify(target)}`,
            () => directoryInside(target, mount.imageSubPath),
          );
    // Ids are mapped in the snapshot: the OCI runtime is not to map them a second time.
    const shown = ImageSpec.fromPartial({ ...rest, image: reference, imageRef: image.id });
    return Mount.fromPartial({ ...mount, hostPath, image: shown, uidMappings: [], gidMappings: [] });
  }

  /** Does `make` unless it is mounted; of several at once, one does. */
  async #mounted(podId: string, target: string, make: () => Promise<void>): Promise<void> {
    const key = `${podId} ${target}`;
    const known = this.#underWay.get(key);
    if (known !== undefined) return await known;
    const making = isMounted(target) ? Promise.resolve() : make();
    this.#underWay.set(key, making);
    try {
      await making;
    } finally {
      this.#underWay.delete(key);
    }
  }

  async #mount(podId: string, mount: Mount, chainId: string, name: string, target: string): Promise<void> {
    const snapshotter = this.#snapshotter(name);
    const lease = await this.#lease(podId);
    const ctx = contextFor(criNamespace, { lease });
    await using undo = new AsyncDisposableStack();
    const made = await this.#view(ctx, snapshotter, target, chainId, mappingLabels(mount));
    undo.defer(() => unlessGone(() => snapshotter.remove(ctx, target)));
    await mkdir(target, { recursive: true, mode: 0o755 });
    mountAll(made, target);
    undo.move();
  }

  /** One that is there is of a daemon that ended before it mounted. */
  async #view(
    ctx: ReturnType<typeof contextFor>,
    snapshotter: Snapshotter,
    key: string,
    chainId: string,
    labels: Readonly<Record<string, string>>,
  ) {
    try {
      return await snapshotter.view(ctx, key, chainId, { labels });
    } catch (error) {
      if (!isCode(error, "alreadyExists")) throw error;
      return await snapshotter.mounts(ctx, key);
    }
  }

  /** The pod's own, which it has from its start. */
  async #lease(podId: string): Promise<string> {
    try {
      await this.#options.leases.create(contextFor(criNamespace), podId, {});
    } catch (error) {
      if (!isCode(error, "alreadyExists")) throw error;
    }
    return podId;
  }

  #snapshotter(name: string): Snapshotter {
    const found = this.#options.snapshotters.get(name);
    if (found === undefined) throw unknown(`snapshotter ${name} was not found`);
    return found;
  }

  /** Takes down all that a pod has; nothing is fine. To be called when its containers have ended. @throws SysError if one is in use */
  async release(podId: string): Promise<void> {
    const base = join(this.#options.directory, podId);
    for (const name of await entriesOf(base)) {
      const target = join(base, name);
      unmountAll(target);
      for (const snapshotter of this.#options.snapshotters.values())
        await unlessGone(() => snapshotter.remove(contextFor(criNamespace), target));
      await rmdir(target);
    }
    await rmdir(base).catch((error: unknown) => {
      if (!isErrno(error, "ENOENT")) throw error;
    });
  }

  /** Takes down those of pods that aren't there any more. */
  async releaseOthers(podIds: ReadonlySet<string>): Promise<void> {
    for (const podId of await entriesOf(this.#options.directory)) if (!podIds.has(podId)) await this.release(podId);
  }
}

async function entriesOf(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}

const isMounted = (path: string): boolean => mountInfo().some(({ target }) => target === path);

/** Snapshotters that can map ids do, for a pod with users of its own. */
function mappingLabels({ uidMappings: [uid], gidMappings: [gid] }: Mount): Record<string, string> {
  if (uid === undefined || gid === undefined) return {};
  const text = ({ containerId, hostId, length }: typeof uid): string => `${containerId}:${hostId}:${length}`;
  return { "containerd.io/snapshot/uidmapping": text(uid), "containerd.io/snapshot/gidmapping": text(gid) };
}

/** The path of a directory of the image; links that lead out of it are refused. @throws Unknown, in Go's words */
function directoryInside(root: string, path: string): string {
  using top = new Descriptor(open(root, openFlags.path | openFlags.directory));
  let found: number;
  try {
    found = openInside(top.fd, path, openFlags.path, { escape: "refuse" });
  } catch (error) {
    if (isErrno(error, "ENOENT")) throw unknown(`openat ${path}: no such file or directory`);
    if (isErrno(error, "EXDEV")) throw unknown(`openat ${path}: path escapes from parent`);
    throw error;
  }
  using inside = new Descriptor(found);
  try {
    using _directory = new Descriptor(openInside(inside.fd, ".", openFlags.path | openFlags.directory));
  } catch (error) {
    if (!isErrno(error, "ENOTDIR")) throw error;
    throw unknown(
      `only directory subpath is supported, subpath: ${JSON.stringify(path)}, mountpoint: ${JSON.stringify(root)}`,
    );
  }
  return readlinkSync(`/proc/self/fd/${inside.fd}`);
}
