import { availableParallelism } from "node:os";
import type { Descriptor } from "@hull/oci/descriptor";
import { hostPlatform } from "@hull/oci/platform";
import type { ContentStore } from "../content/index.ts";
import type { Context } from "../context.ts";
import type { Applier } from "../diff/index.ts";
import type { Image, ImageStore } from "../images/index.ts";
import type { LeaseStore } from "../leases/index.ts";
import type { Registry } from "../registry/index.ts";
import type { Snapshotter } from "../snapshots/index.ts";
import { importArchive } from "./import.ts";
import type { ImportOptions, PullOptions, Transfer, UnpackOptions } from "./index.ts";
import { withLease } from "./lease.ts";
import { KeyedLocks, Slots } from "./locks.ts";
import { ProgressReporter } from "./progress.ts";
import { type PullDependencies, pullImage } from "./pull.ts";
import { walkImages } from "./tree.ts";
import { unpackImage } from "./unpack.ts";

export interface LocalTransferOptions {
  content: ContentStore;
  images: ImageStore;
  leases: LeaseStore;
  applier: Applier;
  /** @throws NotFound */
  snapshotter: (name: string) => Snapshotter;
  /** Layers that are applied at the same time: as many as there are processors. */
  maxConcurrentUnpacks?: number;
  /** Layers of one image that are fetched at the same time, unless a pull says: 3. */
  maxConcurrentDownloads?: number;
  /** See Transfer: none. */
  hostDirectories?: readonly string[];
}

/** Transfers between the stores of this process. One for all callers, so that they share what they fetch and unpack. */
export class LocalTransfer implements Transfer {
  readonly hostDirectories: readonly string[];
  readonly #dependencies: PullDependencies;
  readonly #maxConcurrentDownloads: number;

  constructor({
    maxConcurrentUnpacks = availableParallelism(),
    maxConcurrentDownloads = 3,
    hostDirectories = [],
    ...stores
  }: LocalTransferOptions) {
    this.hostDirectories = hostDirectories;
    this.#dependencies = { ...stores, locks: new KeyedLocks(), slots: new Slots(maxConcurrentUnpacks) };
    this.#maxConcurrentDownloads = maxConcurrentDownloads;
  }

  pull(ctx: Context, registry: Registry, reference: string, options: PullOptions = {}): Promise<Image> {
    return pullImage(ctx, this.#dependencies, registry, reference, {
      maxConcurrentDownloads: this.#maxConcurrentDownloads,
      ...options,
    });
  }

  import(ctx: Context, archive: AsyncIterable<Uint8Array>, options: ImportOptions = {}): Promise<Image[]> {
    return importArchive(ctx, this.#dependencies, archive, options);
  }

  async unpack(ctx: Context, target: Descriptor, options: Parameters<Transfer["unpack"]>[2]): Promise<string> {
    const { content, leases } = this.#dependencies;
    const snapshotter = this.#dependencies.snapshotter(options.snapshotter);
    const { syncFs, platform = hostPlatform() }: UnpackOptions & typeof options = options;
    return withLease(ctx, leases, `unpack ${target.digest} ${crypto.randomUUID()}`, async (leased) => {
      const images = await walkImages(leased, target, { content, platforms: [platform] });
      using progress = new ProgressReporter(options.progress);
      let top = "";
      for (const image of images)
        top = await unpackImage(leased, this.#dependencies, { image, snapshotter, syncFs, progress });
      return top;
    });
  }
}
