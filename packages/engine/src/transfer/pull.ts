import { HullError, isCode, unknown } from "@hull/errors";
import { type Descriptor, parseReference } from "@hull/oci";
import { span } from "@hull/trace";
import type { Context } from "../context.ts";
import type { Image, ImageInput, ImageStore } from "../images/index.ts";
import type { Labels } from "../labels.ts";
import type { LeaseStore } from "../leases/index.ts";
import type { Logger } from "../log.ts";
import type { Registry } from "../registry/index.ts";
import type { Snapshotter } from "../snapshots/index.ts";
import type { ImageVerifier } from "../verifier/index.ts";
import { sourceLabels } from "./blob-source.ts";
import { storeBlob } from "./blobs.ts";
import type { PullOptions } from "./index.ts";
import { withLease } from "./lease.ts";
import { Slots } from "./locks.ts";
import { ProgressReporter } from "./progress.ts";
import { isRunnable, type PlatformImage, unpackedPlatforms, walkImages } from "./tree.ts";
import { keepUnpacked, type UnpackDependencies, unpackImage } from "./unpack.ts";

export interface PullDependencies extends UnpackDependencies {
  images: ImageStore;
  leases: LeaseStore;
  /** @throws NotFound */
  snapshotter: (name: string) => Snapshotter;
  verifiers: ReadonlyMap<string, ImageVerifier>;
  logger: Logger;
}

const defaultDownloads = 3;

/** See Transfer.pull. */
export async function pullImage(
  ctx: Context,
  dependencies: PullDependencies,
  registry: Registry,
  reference: string,
  options: PullOptions,
): Promise<Image> {
  parseReference(reference);
  // A pull of what is being pulled waits, and then finds everything here.
  using _lock = await dependencies.locks.acquire(`${ctx.namespace} pull ${reference}`, ctx.signal);
  return withLease(ctx, dependencies.leases, `pull ${reference}`, (leased) =>
    span("transfer.pull", { attributes: { "image.name": reference, "containerd.namespace": ctx.namespace } }, () =>
      new Pull(leased, dependencies, registry, reference, options).run(),
    ),
  );
}

class Pull {
  readonly #ctx: Context;
  readonly #dependencies: PullDependencies;
  readonly #registry: Registry;
  readonly #reference: string;
  readonly #options: PullOptions;
  readonly #progress: ProgressReporter;
  readonly #downloads: Slots;
  readonly #abort = new AbortController();
  /** Layers by digest: one that two images have is fetched once. */
  readonly #layers = new Map<string, Promise<void>>();
  readonly #work: Promise<unknown>[] = [];
  #failure: unknown;

  constructor(
    ctx: Context,
    dependencies: PullDependencies,
    registry: Registry,
    reference: string,
    options: PullOptions,
  ) {
    this.#ctx = { ...ctx, signal: AbortSignal.any([ctx.signal, this.#abort.signal]) };
    this.#dependencies = dependencies;
    this.#registry = registry;
    this.#reference = reference;
    this.#options = options;
    this.#progress = new ProgressReporter(options.progress);
    this.#downloads = new Slots(options.maxConcurrentDownloads ?? defaultDownloads);
  }

  async run(): Promise<Image> {
    using _ = this.#progress;
    const snapshotter =
      this.#options.unpack === undefined ? undefined : this.#dependencies.snapshotter(this.#options.unpack.snapshotter);
    this.#progress.step("resolving", this.#reference);
    const { descriptor } = await this.#registry.resolve(this.#reference, this.#ctx.signal);
    await this.#verify(descriptor);
    this.#progress.step("resolved", this.#reference);
    try {
      await walkImages(this.#ctx, descriptor, {
        content: this.#dependencies.content,
        platforms: this.#options.platforms,
        allMetadata: this.#options.allMetadata,
        manifestLimit: this.#options.manifestLimit,
        keep: this.#options.discardLayers === true ? "allButLayers" : "all",
        fetch: (blob, parents) => this.#fetch(blob, parents),
        found: (image) => this.#start(image, snapshotter),
      });
    } catch (error) {
      this.#fail(error);
    }
    // Also after a failure: what was begun has to end before the caller may go on. Some of it begins more.
    for (let settled = -1; settled < this.#work.length; ) {
      settled = this.#work.length;
      await Promise.allSettled(this.#work);
    }
    if (this.#failure !== undefined) throw this.#failure;
    this.#progress.step("saving", this.#reference);
    const image = await recordImage(this.#ctx, this.#dependencies.images, {
      name: this.#reference,
      target: descriptor,
      labels: this.#options.labels ?? {},
    });
    this.#progress.step("done", this.#reference);
    return image;
  }

  /** In the words of containerd. @throws Unknown if one doesn't allow the image, or can't say */
  async #verify(descriptor: Descriptor): Promise<void> {
    const name = this.#reference;
    for (const [verifier, program] of this.#dependencies.verifiers) {
      const what = `pull of ${name} with digest ${descriptor.digest}`;
      const judgement = await program.verify(name, descriptor, this.#ctx.signal).catch((error: unknown) => {
        throw unknown(`blocking ${what}: image verifier ${verifier} returned error: ${HullError.from(error).message}`);
      });
      if (judgement.ok) continue;
      const { reason } = judgement;
      this.#dependencies.logger.log("warn", "Image verifier blocked pull", {
        name,
        digest: descriptor.digest,
        reason,
        verifier,
      });
      throw unknown(`image verifier ${verifier} blocked ${what} for reason: ${reason}`);
    }
  }

  #start(image: PlatformImage, snapshotter: Snapshotter | undefined): void {
    if (this.#options.metadataOnly === true) return;
    const unpacked = isRunnable(image, unpackedPlatforms(this.#options)) ? snapshotter : undefined;
    if (this.#options.discardLayers === true && unpacked !== undefined)
      this.#watch(this.#startMissing(image, unpacked));
    else this.#startLayers(image, unpacked);
  }

  async #startMissing(image: PlatformImage, snapshotter: Snapshotter): Promise<void> {
    if (!(await keepUnpacked(this.#ctx, this.#dependencies.content, image, snapshotter)))
      this.#startLayers(image, snapshotter);
  }

  #startLayers(image: PlatformImage, snapshotter: Snapshotter | undefined): void {
    const below = [image.descriptor.digest];
    for (const layer of image.manifest.layers) this.#watch(this.#layer(layer, below));
    if (snapshotter === undefined) return;
    this.#watch(
      unpackImage(this.#ctx, this.#dependencies, {
        image,
        snapshotter,
        syncFs: this.#options.unpack?.syncFs,
        progress: this.#progress,
        ready: (layer) => this.#layer(layer, below),
      }),
    );
  }

  #layer(layer: Descriptor, parents: readonly string[]): Promise<void> {
    const known = this.#layers.get(layer.digest);
    if (known !== undefined) return known;
    this.#progress.state("waiting", layer, 0, parents);
    const fetched = this.#downloads.acquire(this.#ctx.signal).then(async (slot) => {
      using _slot = slot;
      await this.#fetch(layer, parents);
    });
    this.#layers.set(layer.digest, fetched);
    return fetched;
  }

  async #fetch(descriptor: Descriptor, parents: readonly string[]): Promise<void> {
    const { content, locks } = this.#dependencies;
    const { signal } = this.#ctx;
    const labels = await this.#sourceLabels(descriptor);
    using _lock = await locks.acquire(`${this.#ctx.namespace} blob ${descriptor.digest}`, signal);
    let began = false;
    const stored = await storeBlob(this.#ctx, {
      content,
      descriptor,
      labels,
      source: (offset) => {
        began = true;
        this.#progress.state("downloading", descriptor, offset, parents);
        return this.#registry.fetch(this.#reference, descriptor, { offset, signal });
      },
      progress: (bytes) => this.#progress.bytes("downloading", descriptor, bytes),
    });
    this.#progress.state(stored || began ? "complete" : "already exists", descriptor, descriptor.size, parents);
  }

  async #sourceLabels({ digest }: Descriptor): Promise<Labels> {
    try {
      return sourceLabels((await this.#dependencies.content.info(this.#ctx, digest)).labels, this.#reference);
    } catch (error) {
      if (!isCode(error, "notFound")) throw error;
      return sourceLabels({}, this.#reference);
    }
  }

  #watch(work: Promise<unknown>): void {
    this.#work.push(work);
    work.catch((error: unknown) => this.#fail(error));
  }

  #fail(error: unknown): void {
    this.#failure ??= HullError.from(error);
    this.#abort.abort(this.#failure);
  }
}

/** Makes the image's record, or changes the one of that name to this target; labels that it had and that aren't given stay. */
export async function recordImage(ctx: Context, images: ImageStore, input: ImageInput): Promise<Image> {
  for (;;) {
    try {
      return await images.create(ctx, input);
    } catch (error) {
      if (!isCode(error, "alreadyExists")) throw error;
    }
    try {
      const labels = Object.keys(input.labels ?? {}).map((key) => `labels.${key}`);
      return await images.update(ctx, input, ["target", ...labels]);
    } catch (error) {
      // Deleted between the two: make it after all.
      if (!isCode(error, "notFound")) throw error;
    }
  }
}
