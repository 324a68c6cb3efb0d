import { HullError, invalidArgument, isCode } from "@hull/errors";
import { chainId, chainIds, type Descriptor } from "@hull/oci";
import { span } from "@hull/trace";
import type { ContentStore } from "../content/index.ts";
import { type Context, contextFor } from "../context.ts";
import type { Applier } from "../diff/index.ts";
import type { Mount } from "../mount/index.ts";
import type { Snapshotter } from "../snapshots/index.ts";
import { addLabels } from "./blobs.ts";
import type { KeyedLocks, Slots } from "./locks.ts";
import type { ProgressReporter } from "./progress.ts";
import type { PlatformImage } from "./tree.ts";

export interface UnpackDependencies {
  content: ContentStore;
  applier: Applier;
  /** One holder a snapshotter and chain id, over all transfers. */
  locks: KeyedLocks;
  /** Layers that are applied at the same time, over all transfers. */
  slots: Slots;
}

export interface UnpackJob {
  image: PlatformImage;
  snapshotter: Snapshotter;
  syncFs?: boolean;
  progress: ProgressReporter;
  /** Resolves when the layer's blob is in the store. By default all are. */
  ready?: (layer: Descriptor) => Promise<void>;
}

interface Layer {
  descriptor: Descriptor;
  diffId: string;
  chainId: string;
  /** of the layer below, "" for the lowest */
  parent: string;
}

/**
 * Makes the snapshots of an image, one for each layer, named by their chain ids; those that exist are kept. A layer is applied as soon
 * as its blob is here. With a snapshotter that takes the parent at commit, layers are applied side by side and committed in order;
 * else one after the other. When one fails, none of those that aren't committed stays.
 * @returns the chain id of the top layer
 * @throws InvalidArgument if a layer isn't what the config says, or corrupt
 */
export async function unpackImage(ctx: Context, dependencies: UnpackDependencies, job: UnpackJob): Promise<string> {
  const { config, manifest, descriptor } = job.image;
  if (config === undefined)
    throw invalidArgument(
      `"${descriptor.digest}" is not an image: its config has the type "${manifest.config.mediaType}"`,
    );
  if (config.diffIds.length !== manifest.layers.length)
    throw invalidArgument(
      `manifest "${descriptor.digest}" has ${manifest.layers.length} layers, but its config "${manifest.config.digest}" has ${config.diffIds.length} diff ids`,
    );
  const chain = chainIds(config.diffIds);
  const layers = manifest.layers.map((layer, index): Layer => {
    const [diffId, chainId] = [config.diffIds[index] ?? "", chain[index] ?? ""];
    return { descriptor: layer, diffId, chainId, parent: chain[index - 1] ?? "" };
  });
  await new Unpacking(ctx, dependencies, job).run(layers);
  const top = chain.at(-1) ?? "";
  if (top !== "")
    await keepSnapshot(ctx, dependencies.content, { image: job.image, snapshotter: job.snapshotter, top });
  return top;
}

/** Has the collector keep an image's snapshots as long as the image, if they are there. False if not. */
export async function keepUnpacked(
  ctx: Context,
  content: ContentStore,
  image: PlatformImage,
  snapshotter: Snapshotter,
): Promise<boolean> {
  const top = chainId(image.config?.diffIds ?? []);
  if (top === "" || !(await hasSnapshot(ctx, snapshotter, top))) return false;
  await keepSnapshot(ctx, content, { image, snapshotter, top });
  return true;
}

async function keepSnapshot(
  ctx: Context,
  content: ContentStore,
  { image, snapshotter, top }: { image: PlatformImage; snapshotter: Snapshotter; top: string },
): Promise<void> {
  const label = `containerd.io/gc.ref.snapshot.${snapshotter.name}`;
  await addLabels(ctx, content, image.manifest.config.digest, { [label]: top });
}

async function hasSnapshot(ctx: Context, snapshotter: Snapshotter, key: string): Promise<boolean> {
  try {
    await snapshotter.stat(ctx, key);
    return true;
  } catch (error) {
    if (isCode(error, "notFound")) return false;
    throw error;
  }
}

class Unpacking {
  readonly #dependencies: UnpackDependencies;
  readonly #job: UnpackJob;
  readonly #abort = new AbortController();
  /** Ends as soon as one layer fails. */
  readonly #ctx: Context;
  /** For undoing, which goes on after an abort. */
  readonly #lasting: Context;
  readonly #sideBySide: boolean;

  constructor(ctx: Context, dependencies: UnpackDependencies, job: UnpackJob) {
    this.#dependencies = dependencies;
    this.#job = job;
    this.#ctx = { ...ctx, signal: AbortSignal.any([ctx.signal, this.#abort.signal]) };
    this.#lasting = contextFor(ctx.namespace, { lease: ctx.lease });
    this.#sideBySide = job.snapshotter.capabilities.includes("rebase");
  }

  async run(layers: readonly Layer[]): Promise<void> {
    let below = Promise.resolve();
    let failure: unknown;
    const all = layers.map((layer) => {
      below = this.#layer(layer, below).catch((error: unknown) => {
        failure ??= error;
        this.#abort.abort(error);
        throw error;
      });
      return below;
    });
    await Promise.allSettled(all);
    if (failure !== undefined) throw failure;
  }

  /** @param below resolves when the layer below is committed */
  async #layer(layer: Layer, below: Promise<void>): Promise<void> {
    const { descriptor, chainId, diffId } = layer;
    // A layer waits for the one below it and never the other way: locks held while waiting can't make a circle.
    below.catch(() => undefined);
    const { signal } = this.#ctx;
    await this.#race(this.#job.ready?.(descriptor) ?? Promise.resolve());
    using _lock = await this.#dependencies.locks.acquire(
      `${this.#ctx.namespace} ${this.#job.snapshotter.name} ${chainId}`,
      signal,
    );
    if (!(await hasSnapshot(this.#ctx, this.#job.snapshotter, chainId))) await this.#make(layer, below);
    await this.#dependencies.content.info(this.#ctx, descriptor.digest);
    await addLabels(this.#ctx, this.#dependencies.content, descriptor.digest, { "containerd.io/uncompressed": diffId });
    this.#job.progress.state("extracted", descriptor, descriptor.size);
  }

  async #make(layer: Layer, below: Promise<void>): Promise<void> {
    const { snapshotter } = this.#job;
    const rebased = this.#sideBySide && layer.parent !== "";
    if (!rebased) await this.#race(below);
    await using undo = new AsyncDisposableStack();
    let key: string;
    let parent: { parent?: string } = rebased ? { parent: layer.parent } : {};
    try {
      key = await this.#applied(layer, rebased ? "" : layer.parent, rebased, undo);
    } catch (error) {
      // A hard link to a file of a layer below: this one can only be applied on top of it.
      if (!rebased || !isCode(error, "failedPrecondition")) throw error;
      await this.#race(below);
      key = await this.#applied(layer, layer.parent, false, undo);
      parent = {};
    }
    await this.#race(below);
    try {
      await snapshotter.commit(this.#ctx, layer.chainId, key, parent);
    } catch (error) {
      // Another process's client was faster; its snapshot is as good, ours is removed.
      if (!isCode(error, "alreadyExists")) throw error;
      return;
    }
    undo.move();
  }

  /** Applies the layer onto a new active snapshot and gives its key; `undo` removes the snapshot. */
  async #applied(layer: Layer, parent: string, rebase: boolean, undo: AsyncDisposableStack): Promise<string> {
    const { descriptor, diffId } = layer;
    const { progress, syncFs } = this.#job;
    using _slot = await this.#dependencies.slots.acquire(this.#ctx.signal);
    const { key, mounts } = await this.#prepare(layer, parent);
    undo.defer(() => this.#remove(key));
    progress.state("extracting", descriptor);
    const applied = await span("unpack.layer", { attributes: { "layer.digest": descriptor.digest } }, () =>
      this.#dependencies.applier.apply(this.#ctx, descriptor, mounts, {
        syncFs,
        rebase,
        progress: (bytes) => progress.bytes("extracting", descriptor, bytes),
      }),
    );
    if (applied.digest !== diffId)
      throw invalidArgument(
        `layer "${descriptor.digest}" unpacks to "${applied.digest}", but the image's config says "${diffId}"`,
      );
    return key;
  }

  async #prepare(layer: Layer, parent: string): Promise<{ key: string; mounts: Mount[] }> {
    for (let tries = 1; ; tries++) {
      const random = Math.random().toString(36).slice(2, 6);
      const key = `extract-${BigInt(Date.now()) * 1_000_000n}-${random} ${layer.chainId}`;
      try {
        return { key, mounts: await this.#job.snapshotter.prepare(this.#ctx, key, parent) };
      } catch (error) {
        if (tries === 3 || !isCode(error, "alreadyExists")) throw error;
      }
    }
  }

  async #remove(key: string): Promise<void> {
    await this.#job.snapshotter.remove(this.#lasting, key).catch((error: unknown) => {
      if (!isCode(error, "notFound")) throw error;
    });
  }

  /** Waits for something that doesn't know our signal. */
  async #race(pending: Promise<void>): Promise<void> {
    const { signal } = this.#ctx;
    if (signal.aborted) throw HullError.from(signal.reason);
    let abort: (() => void) | undefined;
    try {
      await Promise.race([
        pending,
        new Promise<never>((_, reject) => {
          abort = () => reject(HullError.from(signal.reason));
          signal.addEventListener("abort", abort, { once: true });
        }),
      ]);
    } finally {
      if (abort !== undefined) signal.removeEventListener("abort", abort);
    }
  }
}
