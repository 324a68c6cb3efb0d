import { invalidArgument, isCode, notFound } from "@hull/errors";
import {
  bestForPlatform,
  childLabels,
  childrenOf,
  type Descriptor,
  formatPlatform,
  hostPlatform,
  type ImageConfig,
  isConfig,
  isImage,
  isIndex,
  isLayer,
  isManifest,
  type Manifest,
  maxConfigSize,
  maxManifestSize,
  type Platform,
  parseDocument,
  parseImageConfig,
  platformRank,
} from "@hull/oci";
import type { ContentStore } from "../content/index.ts";
import type { Context } from "../context.ts";
import { addLabels, readBlob } from "./blobs.ts";
import type { PullOptions } from "./index.ts";

/** One runnable image in the tree below a target. */
export interface PlatformImage {
  descriptor: Descriptor;
  manifest: Manifest;
  /** Undefined if the manifest is of another kind of artifact. */
  config?: ImageConfig;
}

/**
 * True if an image is to be unpacked for one of the platforms. What says no platform, as signatures and the like that borrow an image's
 * config, is one if all its layers are; what does say one has to be unpacked or refused.
 */
export function isRunnable({ config, manifest }: PlatformImage, platforms: readonly Platform[]): boolean {
  if (config === undefined) return false;
  if (config.platform.os === "") return manifest.layers.every((layer) => isLayer(layer.mediaType));
  return platforms.some((wished) => platformRank(wished, config.platform) !== undefined);
}

/** For which platforms images are unpacked: only what can run here, whatever else was asked to be fetched, unless it is said. */
export function unpackedPlatforms({
  platforms,
  unpack,
}: Pick<PullOptions, "platforms" | "unpack">): readonly Platform[] {
  if (unpack?.platform !== undefined) return [unpack.platform];
  return platforms === undefined || platforms === "all" ? [hostPlatform()] : platforms;
}

export interface WalkOptions {
  content: ContentStore;
  /** Which platforms are walked into; `all` for each of them. Default: this host's. */
  platforms?: readonly Platform[] | "all";
  /** Brings a blob into the store before it is read. By default it must be there. */
  fetch?: (descriptor: Descriptor, parents: readonly string[]) => Promise<void>;
  /** Tells of an image as soon as its manifest and config are known, before its layers are asked for. */
  found?: (image: PlatformImage) => void;
  /** Bring the manifests and configs of all other platforms too, as pushing the whole index needs them. */
  allMetadata?: boolean;
  /** At most so many manifests of each index, those that fit the wished platforms best; 0: all that fit. */
  manifestLimit?: number;
  /** A platform that there is nothing for is no error. */
  optional?: boolean;
  /** Leave manifests out that aren't in the store, as archives of one platform have them, instead of failing. */
  sparse?: boolean;
  /** What the labels on a document keep from the collector: all that it refers to, all but layers, or nothing that isn't kept already. */
  keep?: "all" | "allButLayers" | "nothing";
}

/** Indexes in indexes: deeper ones are somebody's attempt to keep us busy. */
const maxDepth = 8;

/**
 * Walks from a target through indexes to the images of the wished platforms, and labels each parent with its children, so that the collector
 * keeps them. Layers are not walked.
 * @throws NotFound if there is none for a platform; InvalidArgument for malformed documents
 */
export async function walkImages(ctx: Context, target: Descriptor, options: WalkOptions): Promise<PlatformImage[]> {
  const images: PlatformImage[] = [];
  await new Walker(ctx, options, images).visit(target, [], 0);
  if (images.length === 0 && options.optional !== true)
    throw notFound(`"${target.digest}" leads to no manifest that is here`);
  return images;
}

class Walker {
  readonly #ctx: Context;
  readonly #options: WalkOptions;
  readonly #images: PlatformImage[];
  readonly #platforms: readonly Platform[] | "all";

  constructor(ctx: Context, options: WalkOptions, images: PlatformImage[]) {
    this.#ctx = ctx;
    this.#options = options;
    this.#images = images;
    this.#platforms = options.platforms ?? [hostPlatform()];
  }

  async visit(descriptor: Descriptor, parents: readonly string[], depth: number): Promise<void> {
    if (depth > maxDepth) throw invalidArgument(`index "${descriptor.digest}" is nested more than ${maxDepth} deep`);
    if (!isIndex(descriptor.mediaType) && !isManifest(descriptor.mediaType))
      throw invalidArgument(
        `"${descriptor.digest}" has the media type "${descriptor.mediaType}", which is neither an image nor an index of images`,
      );
    const document = await this.#document(descriptor, parents);
    const below = [...parents, descriptor.digest];
    if (document.kind === "manifest") {
      const image = await this.#image(descriptor, document.manifest, below);
      // What an index says of the platform was checked there; a manifest alone is judged by its config.
      if (parents.length === 0) this.#requirePlatform(image);
      this.#images.push(image);
      this.#options.found?.(image);
      return;
    }
    const chosen = this.#limited(await this.#choose(descriptor, document.index.manifests, below));
    if (this.#options.allMetadata === true) {
      const digests = new Set(chosen.map(({ digest }) => digest));
      for (const child of document.index.manifests)
        if (!digests.has(child.digest)) await this.#metadata(child, below, depth + 1);
    }
    for (const child of chosen) {
      if (!isIndex(child.mediaType) && !isManifest(child.mediaType)) continue;
      if (this.#options.sparse === true && !(await this.#isHere(child))) continue;
      await this.visit(child, below, depth + 1);
    }
  }

  /** Brings what describes an image, but not the image. */
  async #metadata(descriptor: Descriptor, parents: readonly string[], depth: number): Promise<void> {
    if (depth > maxDepth) throw invalidArgument(`index "${descriptor.digest}" is nested more than ${maxDepth} deep`);
    if (!isIndex(descriptor.mediaType) && !isManifest(descriptor.mediaType)) return;
    const document = await this.#document(descriptor, parents);
    const below = [...parents, descriptor.digest];
    if (document.kind === "manifest") await this.#image(descriptor, document.manifest, below);
    else for (const child of document.index.manifests) await this.#metadata(child, below, depth + 1);
  }

  async #document(descriptor: Descriptor, parents: readonly string[]): Promise<ReturnType<typeof parseDocument>> {
    const { content } = this.#options;
    const what = `"${descriptor.digest}"`;
    if (descriptor.size > maxManifestSize)
      throw invalidArgument(`${what} has ${descriptor.size} bytes: a manifest may have at most ${maxManifestSize}`);
    await this.#options.fetch?.(descriptor, parents);
    const document = parseDocument(
      what,
      await readBlob(this.#ctx, content, descriptor, maxManifestSize),
      descriptor.mediaType,
    );
    const { keep = "all" } = this.#options;
    const children = keep === "nothing" ? [] : childrenOf(document);
    const kept = keep === "all" ? children : children.filter(({ mediaType }) => !isLayer(mediaType));
    await addLabels(this.#ctx, content, descriptor.digest, childLabels(kept));
    return document;
  }

  async #image(descriptor: Descriptor, manifest: Manifest, parents: readonly string[]): Promise<PlatformImage> {
    if (manifest.config.size > maxConfigSize)
      throw invalidArgument(
        `config "${manifest.config.digest}" has ${manifest.config.size} bytes: at most ${maxConfigSize} are allowed`,
      );
    await this.#options.fetch?.(manifest.config, parents);
    if (!isImage(manifest)) return { descriptor, manifest };
    const bytes = await readBlob(this.#ctx, this.#options.content, manifest.config, maxConfigSize);
    return { descriptor, manifest, config: parseImageConfig(`config "${manifest.config.digest}"`, bytes) };
  }

  #requirePlatform({ config, descriptor }: PlatformImage): void {
    if (this.#platforms === "all" || config === undefined || config.platform.os === "") return;
    if (this.#platforms.some((platform) => platformRank(platform, config.platform) !== undefined)) return;
    if (this.#options.optional === true) return;
    throw this.#none(this.#platforms, [{ ...descriptor, platform: config.platform }], descriptor);
  }

  #none(wanted: readonly Platform[], offered: readonly Descriptor[], target: Descriptor): Error {
    const names = offered.flatMap(({ platform }) => (platform === undefined ? [] : [formatPlatform(platform)]));
    return notFound(
      `no image for ${wanted.map(formatPlatform).join(", ")} in "${target.digest}": it has ${names.join(", ") || "none that says its platform"}`,
    );
  }

  async #choose(
    index: Descriptor,
    manifests: readonly Descriptor[],
    parents: readonly string[],
  ): Promise<Descriptor[]> {
    const platforms = this.#platforms;
    if (platforms === "all") return [...manifests];
    const known: Descriptor[] = [];
    for (const child of manifests) known.push(await this.#withPlatform(child, parents));
    const chosen = new Set<Descriptor>();
    for (const platform of platforms) {
      const best = bestForPlatform(known, platform);
      if (best !== undefined) chosen.add(best);
      else if (this.#options.optional !== true) throw this.#none([platform], known, index);
    }
    return [...chosen];
  }

  /** The first ones are those of the platform that was named first; what says no platform comes last. */
  #limited(chosen: readonly Descriptor[]): readonly Descriptor[] {
    const { manifestLimit = 0 } = this.#options;
    if (manifestLimit === 0) return chosen;
    const rank = ({ platform }: Descriptor): number => (platform === undefined ? 1 : 0);
    return chosen.toSorted((a, b) => rank(a) - rank(b)).slice(0, manifestLimit);
  }

  /** An index need not say a manifest's platform: its config does. */
  async #withPlatform(child: Descriptor, parents: readonly string[]): Promise<Descriptor> {
    if (child.platform !== undefined && child.platform.os !== "") return child;
    if (isIndex(child.mediaType)) return { ...child, platform: hostPlatform() };
    if (!isManifest(child.mediaType)) return child;
    if (this.#options.fetch === undefined && !(await this.#isHere(child))) return child;
    const document = await this.#document(child, parents);
    if (document.kind !== "manifest" || !isConfig(document.manifest.config.mediaType)) return child;
    const { config } = await this.#image(child, document.manifest, [...parents, child.digest]);
    return config === undefined || config.platform.os === "" ? child : { ...child, platform: config.platform };
  }

  async #isHere({ digest }: Descriptor): Promise<boolean> {
    try {
      await this.#options.content.info(this.#ctx, digest);
      return true;
    } catch (error) {
      if (isCode(error, "notFound")) return false;
      throw error;
    }
  }
}
