/**
 * The images of a node, as the kubelet sees them.
 *
 *   pull ──► records by tag, digest and id ──► in the index ──► get, list ──► remove: all records, and a collection
 *                                                 ▲
 *                         records that other clients of namespace `k8s.io` make, change and delete
 *
 * An image is known by its id, the digest of its config, however many registries it came from; it is here once it is unpacked. Images that
 * the configuration pins are labelled so, for the kubelet not to collect them.
 */

import type { AuthConfig } from "@hull/api/gen/cri/v1/cri";
import { encodeJsonAny, jsonTypes } from "@hull/api/typeurl";
import type { ContentStore } from "@hull/engine/content/index";
import { type Context, contextFor } from "@hull/engine/context";
import type { EventExchange } from "@hull/engine/events/index";
import type { ImageStore } from "@hull/engine/images/index";
import type { Labels } from "@hull/engine/labels";
import type { Logger } from "@hull/engine/log";
import type { Snapshotter } from "@hull/engine/snapshots/index";
import { readBlob } from "@hull/engine/transfer/blobs";
import type { Transfer } from "@hull/engine/transfer/index";
import { HullError, isCode, notFound, unknown } from "@hull/errors";
import type { Platform } from "@hull/oci/descriptor";
import { maxConfigSize } from "@hull/oci/manifest";
import { hostPlatform, parsePlatform } from "@hull/oci/platform";
import { formatReference } from "@hull/oci/reference";
import { type CriImagesConfig, pauseImage } from "../config.ts";
import { criNamespace, type Images, type LocalImage } from "../model.ts";
import { credentialsFor } from "./credentials.ts";
import { DiskUse, type SnapshotterUse } from "./disk-use.ts";
import { ImageIndex, type IndexedImage, managed, managedLabel, pinned, pinnedLabel } from "./image-index.ts";
import type { PullState } from "./pull-progress.ts";
import { Pulls } from "./pulls.ts";
import { readImage } from "./read-image.ts";
import { ensureRecord } from "./records.ts";
import { pullReference, recordNames } from "./references.ts";
import { type DeprecatedTable, readRegistries } from "./registries.ts";

/** Under this topic pulls tell how far they are: `PullState` as JSON, the reference as its `name`. */
const pullTopic = "/image-pulls/progress";

export interface CriImagesOptions {
  readonly config: CriImagesConfig;
  readonly transfer: Pick<Transfer, "pull" | "unpack">;
  readonly images: ImageStore;
  readonly content: ContentStore;
  readonly events: EventExchange;
  readonly snapshotters: ReadonlyMap<string, Snapshotter>;
  /** Snapshotters of runtime handlers that name their own. */
  readonly handlerSnapshotters?: Readonly<Record<string, string>>;
  /** The directory that a snapshotter keeps its snapshots in. */
  readonly rootOf: (snapshotter: string) => string;
  /** Told of deprecated tables that are used. */
  readonly deprecated?: (table: DeprecatedTable) => void;
  readonly log: Logger;
}

/** What a client asks to be pulled. */
export interface PullInput {
  readonly image: string;
  /** Runtime handler whose snapshotter and platform count; empty: the common ones. */
  readonly handler?: string;
  readonly auth?: Partial<AuthConfig>;
}

export class CriImages implements Images, Disposable {
  readonly #options: CriImagesOptions;
  readonly #registries: ReturnType<typeof readRegistries>;
  readonly #index: ImageIndex;
  readonly #pulls: Pulls;
  readonly #platforms: ReadonlyMap<string, Platform>;
  readonly #pinned: ReadonlySet<unknown>;
  readonly #ctx: Context = contextFor(criNamespace);
  /** What snapshots take on disk. */
  readonly disk: DiskUse;

  /** @throws InvalidArgument for a table of the configuration that can't be; NotFound without its snapshotter */
  constructor(options: CriImagesOptions) {
    const { config, log, snapshotters } = options;
    this.#options = options;
    if (!snapshotters.has(config.snapshotter))
      throw notFound(`failed to find snapshotter ${JSON.stringify(config.snapshotter)}`);
    if (!config.disable_snapshot_annotations)
      log.log("warn", "disable_snapshot_annotations = false has no effect: snapshotters aren't told of images");
    this.#registries = readRegistries(config.registry, (message) => log.log("warn", message));
    for (const table of this.#registries.deprecated) options.deprecated?.(table);
    this.#platforms = new Map(
      Object.entries(config.runtime_platforms).flatMap(([name, { platform }]) =>
        platform === "" ? [] : [[name, parsePlatform(platform)]],
      ),
    );
    this.#pinned = new Set([...Object.values(config.pinned_images), pauseImage(config)]);
    this.#pulls = new Pulls({ ...options, registries: this.#registries, tell: (state) => this.#publish(state) });
    this.#index = new ImageIndex({
      ...options,
      platforms: [hostPlatform(), ...this.#platforms.values()],
      labelsOf: (name) => this.#labelsOf(name),
    });
    this.disk = new DiskUse({ ...options, period: config.stats_collect_period * 1000 });
  }

  /** Reads the records that are here. To be called once, before images are asked for. */
  load(): Promise<void> {
    return this.#index.load();
  }

  [Symbol.dispose](): void {
    this.#index[Symbol.dispose]();
    this.disk[Symbol.dispose]();
  }

  /** By id, the beginning of one, tag or digest. @throws Unknown if several ids begin so */
  find(reference: string): IndexedImage | undefined {
    if (reference === "") return undefined;
    try {
      return this.#index.find(reference);
    } catch (error) {
      throw unknown(`can not resolve ${JSON.stringify(reference)} locally: ${HullError.from(error).message}`);
    }
  }

  list(): IndexedImage[] {
    return this.#index.list();
  }

  async get(reference: string): Promise<LocalImage> {
    const image = this.find(reference);
    if (image === undefined) throw notFound(`failed to resolve image ${JSON.stringify(reference)}`);
    return image;
  }

  async ensure(reference: string): Promise<LocalImage> {
    return this.find(reference) ?? (await this.pull({ image: reference }, this.#ctx.signal));
  }

  async unpacked(image: LocalImage, snapshotter: string): Promise<string> {
    if (image.chainId === "" || (await this.#hasSnapshot(snapshotter, image.chainId))) return image.chainId;
    const known = this.#index.find(image.id);
    if (known === undefined) throw notFound(`image ${JSON.stringify(image.id)}`);
    const { transfer, config } = this.#options;
    const { target, platform } = known;
    try {
      const syncFs = config.image_pull_with_sync_fs;
      return await transfer.unpack(this.#ctx, target, { snapshotter, platform, syncFs });
    } catch (error) {
      const { code, message } = HullError.from(error);
      throw new HullError(code, `failed to unpack image "${image.id}" on snapshotter ${snapshotter}: ${message}`, {
        cause: error,
      });
    }
  }

  /**
   * Pulls an image and unpacks it; the same one only once at a time.
   * @throws as Pulls.pull; Unknown for what is no reference
   */
  async pull({ image, handler = "", auth }: PullInput, signal: AbortSignal): Promise<IndexedImage> {
    const reference = pullReference(image);
    const name = formatReference(reference);
    const labels = this.#labelsOf(name);
    const platform = this.#platforms.get(handler) ?? hostPlatform();
    const ctx = { ...this.#ctx, signal };
    const began = performance.now();
    const { target } = await this.#pulls.pull(ctx, {
      reference: name,
      snapshotter: this.snapshotterOf(handler),
      platform,
      labels,
      credentials: (host) => credentialsFor(auth ?? this.#registries.auth(host), host),
      identity: JSON.stringify(auth ?? {}),
    });
    const { id } = await readImage(this.#ctx, this.#options.content, target, [platform]);
    for (const record of [id, ...recordNames(reference, target.digest)]) {
      await ensureRecord(this.#ctx, this.#options.images, { name: record, target, labels });
      await this.#index.refresh(record);
    }
    const pulled = this.#index.find(id);
    if (pulled === undefined) throw notFound(`image "${name}" was deleted while it was pulled`);
    this.#options.log.log("info", "Pulled an image", {
      image: name,
      id,
      size: pulled.size,
      seconds: Math.round(performance.now() - began) / 1000,
    });
    return pulled;
  }

  /** Deletes all records of an image, and waits until what it alone needs is gone. What isn't here is no error. */
  async remove(reference: string): Promise<void> {
    const image = this.find(reference);
    const { images } = this.#options;
    for (const name of image?.names ?? []) {
      try {
        await images.delete(this.#ctx, name, { sync: name === image?.names.at(-1) });
      } catch (error) {
        if (!isCode(error, "notFound")) throw error;
      }
      await this.#index.refresh(name);
    }
  }

  /** The snapshotter of a runtime handler's containers. */
  snapshotterOf(handler: string): string {
    const { config, handlerSnapshotters = {} } = this.#options;
    const platform = Object.hasOwn(config.runtime_platforms, handler) ? config.runtime_platforms[handler] : undefined;
    const own = Object.hasOwn(handlerSnapshotters, handler) ? handlerSnapshotters[handler] : undefined;
    return platform?.snapshotter || own || config.snapshotter;
  }

  /** Pulls under way. */
  get pulling(): PullState[] {
    return this.#pulls.states;
  }

  /** What images and containers take on disk: for each snapshotter in use, the common one first. */
  async fileSystems(): Promise<(SnapshotterUse & { readonly mountpoint: string })[]> {
    const { config, handlerSnapshotters = {}, snapshotters, rootOf } = this.#options;
    const others = [
      ...Object.values(config.runtime_platforms).map(({ snapshotter }) => snapshotter),
      ...Object.values(handlerSnapshotters),
    ].filter((name) => snapshotters.has(name));
    const names = [...new Set([config.snapshotter, ...others])];
    const uses = await Promise.all(
      names.map(async (name) => ({ ...(await this.disk.total(name)), mountpoint: rootOf(name) })),
    );
    return uses.filter(({ inodes }, index) => index === 0 || inodes > 0);
  }

  /** The JSON of an image's config as it is stored. @throws NotFound */
  async configOf({ id }: LocalImage): Promise<unknown> {
    const { content } = this.#options;
    const { size } = await content.info(this.#ctx, id);
    return JSON.parse(
      new TextDecoder().decode(await readBlob(this.#ctx, content, { digest: id, size }, maxConfigSize)),
    );
  }

  #publish({ reference, ...state }: PullState): void {
    const event = encodeJsonAny(jsonTypes.imagePull, { name: reference, ...state });
    this.#options.events.publish(this.#ctx, pullTopic, event);
  }

  #labelsOf(name: string): Labels {
    return { [managedLabel]: managed, ...(this.#pinned.has(name) ? { [pinnedLabel]: pinned } : {}) };
  }

  async #hasSnapshot(name: string, key: string): Promise<boolean> {
    const snapshotter = this.#options.snapshotters.get(name);
    if (snapshotter === undefined) throw notFound(`failed to find snapshotter ${JSON.stringify(name)}`);
    try {
      return (await snapshotter.stat(this.#ctx, key)).kind === "committed";
    } catch (error) {
      if (isCode(error, "notFound")) return false;
      throw error;
    }
  }
}

export type { IndexedImage } from "./image-index.ts";
export type { PullState } from "./pull-progress.ts";
export type { DeprecatedTable } from "./registries.ts";
export { imageService } from "./service.ts";
