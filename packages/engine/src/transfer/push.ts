import { HullError, invalidArgument, isCode, notFound } from "@hull/errors";
import {
  childrenOf,
  type Descriptor,
  formatPlatform,
  ingestRef,
  isForeignLayer,
  isIndex,
  isManifest,
  maxManifestSize,
  type Platform,
  parseDocument,
  parseReference,
  platformRank,
} from "@hull/oci";
import type { ContentStore } from "../content/index.ts";
import type { Context } from "../context.ts";
import type { Registry } from "../registry/index.ts";
import { addSource, mountSource } from "./blob-source.ts";
import { readBlob } from "./blobs.ts";
import type { PushOptions } from "./index.ts";
import { Slots } from "./locks.ts";
import { ProgressReporter } from "./progress.ts";

export interface PushDependencies {
  content: ContentStore;
  registry: Registry;
}

const defaultUploads = 3;

/** See Transfer.push. */
export async function pushImage(
  ctx: Context,
  dependencies: PushDependencies,
  reference: string,
  target: Descriptor,
  options: PushOptions,
): Promise<void> {
  const { tag, digest } = parseReference(reference);
  if (tag === undefined && digest !== undefined && digest !== target.digest)
    throw invalidArgument(`reference "${reference}" names another manifest than "${target.digest}"`);
  await new Push(ctx, dependencies, reference, target, options).run();
}

/** What has to be sent before what, found by walking the target once. */
interface Plan {
  /** Everything that is no manifest, in any order. */
  readonly blobs: Map<string, Descriptor>;
  /** Manifests and indexes by depth: the deepest go first. */
  readonly documents: Map<string, { descriptor: Descriptor; depth: number }>;
  readonly parents: Map<string, Set<string>>;
}

class Push {
  readonly #ctx: Context;
  readonly #content: ContentStore;
  readonly #registry: Registry;
  readonly #reference: string;
  readonly #target: Descriptor;
  readonly #options: PushOptions;
  readonly #slots: Slots;
  readonly #abort = new AbortController();
  readonly #progress: ProgressReporter;

  constructor(
    ctx: Context,
    { content, registry }: PushDependencies,
    reference: string,
    target: Descriptor,
    options: PushOptions,
  ) {
    this.#ctx = { ...ctx, signal: AbortSignal.any([ctx.signal, this.#abort.signal]) };
    this.#content = content;
    this.#registry = registry;
    this.#reference = reference;
    this.#target = target;
    this.#options = options;
    this.#slots = new Slots(options.maxConcurrentUploads ?? defaultUploads);
    this.#progress = new ProgressReporter(options.progress, (descriptor) => this.#nameOf(descriptor));
  }

  async run(): Promise<void> {
    using _ = this.#progress;
    const plan: Plan = { blobs: new Map(), documents: new Map(), parents: new Map() };
    await this.#walk(plan, this.#target, this.#options.parents ?? [], 0);
    for (const each of this.#inOrder(plan)) {
      const parents = [...(plan.parents.get(each.digest) ?? [])];
      this.#progress.state("waiting", each, 0, parents);
    }
    await this.#all([...plan.blobs.values()], plan);
    const depths = [...new Set([...plan.documents.values()].map(({ depth }) => depth))].sort((a, b) => b - a);
    for (const depth of depths) {
      const level = [...plan.documents.values()].filter((each) => each.depth === depth);
      await this.#all(
        level.map(({ descriptor }) => descriptor),
        plan,
      );
    }
  }

  #inOrder({ documents, blobs }: Plan): Descriptor[] {
    return [...[...documents.values()].map(({ descriptor }) => descriptor), ...blobs.values()];
  }

  /** Names of the progress: the target by the tag that it gets too, all else as where it is fetched. */
  #nameOf(descriptor: Descriptor): string {
    const { tag } = parseReference(this.#reference);
    const name = ingestRef(descriptor);
    return descriptor.digest === this.#target.digest && tag !== undefined ? name.replace("-", `-${tag}@`) : name;
  }

  async #walk(plan: Plan, descriptor: Descriptor, parents: readonly string[], depth: number): Promise<void> {
    const { digest, mediaType } = descriptor;
    const above = plan.parents.get(digest) ?? new Set();
    for (const parent of parents) above.add(parent);
    plan.parents.set(digest, above);
    if (!isManifest(mediaType) && !isIndex(mediaType)) {
      const skipped = isForeignLayer(mediaType) && this.#options.foreignLayers !== true;
      if (!skipped) plan.blobs.set(digest, descriptor);
      return;
    }
    plan.documents.set(digest, { descriptor, depth: Math.max(depth, plan.documents.get(digest)?.depth ?? 0) });
    const document = parseDocument(
      `"${digest}"`,
      await readBlob(this.#ctx, this.#content, descriptor, maxManifestSize),
      mediaType,
    );
    const children = document.kind === "index" ? this.#chosen(document.index.manifests) : childrenOf(document);
    for (const child of children) await this.#walk(plan, child, [this.#nameOf(descriptor)], depth + 1);
  }

  /** What of an index is for the wished platforms; what says no platform is for each. */
  #chosen(manifests: readonly Descriptor[]): readonly Descriptor[] {
    const { platforms } = this.#options;
    if (platforms === undefined) return manifests;
    const chosen = manifests.filter(({ platform }) => platform === undefined || isFor(platform, platforms));
    if (chosen.length > 0) return chosen;
    throw notFound(`no manifest for ${platforms.map(formatPlatform).join(", ")}`);
  }

  /** Sends all of them, some side by side. The first failure ends the others. */
  async #all(descriptors: readonly Descriptor[], plan: Plan): Promise<void> {
    let failure: unknown;
    await Promise.all(
      descriptors.map(async (descriptor) => {
        try {
          using _slot = await this.#slots.acquire(this.#ctx.signal);
          await this.#send(descriptor, [...(plan.parents.get(descriptor.digest) ?? [])]);
        } catch (error) {
          failure ??= error;
          this.#abort.abort(HullError.from(error));
        }
      }),
    );
    if (failure !== undefined) throw failure;
  }

  async #send(descriptor: Descriptor, parents: readonly string[]): Promise<void> {
    const { digest, size, mediaType } = descriptor;
    const { labels } = await this.#missingIsTold(descriptor);
    const result = await this.#registry.push(this.#reference, descriptor, {
      read: (offset, length) => this.#read(descriptor, offset, length),
      tagged: digest === this.#target.digest,
      mountFrom: mountSource(labels, this.#reference),
      signal: this.#ctx.signal,
      progress: (bytes) => this.#progress.bytes("uploading", descriptor, bytes),
    });
    this.#progress.state(result === "exists" ? "already exists" : "complete", descriptor, size, parents);
    if (!isManifest(mediaType) && !isIndex(mediaType))
      await addSource(this.#ctx, this.#content, digest, this.#reference);
  }

  async #missingIsTold({ digest }: Descriptor) {
    try {
      return await this.#content.info(this.#ctx, digest);
    } catch (error) {
      if (!isCode(error, "notFound")) throw error;
      throw notFound(`content "${digest}" is not here: pull all of the image, or push only the platforms that are`, {
        cause: error,
      });
    }
  }

  async #read({ digest }: Descriptor, offset: number, size: number): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.#content.read(this.#ctx, digest, { offset, size })) chunks.push(Buffer.from(chunk));
    const [only] = chunks;
    return chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks);
  }
}

function isFor(platform: Platform, platforms: readonly Platform[]): boolean {
  return platforms.some((wished) => platformRank(wished, platform) === 0);
}
