import { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import { SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import type { Descriptor as WireDescriptor } from "@hull/api/gen/containerd/types/descriptor";
import { internal, isCode, notFound } from "@hull/errors";
import type { Descriptor, Platform } from "@hull/oci/descriptor";
import { chainId } from "@hull/oci/digest";
import {
  type ImageConfig,
  type Manifest,
  maxConfigSize,
  maxManifestSize,
  parseDocument,
  parseImageConfig,
} from "@hull/oci/manifest";
import { isConfig, isIndex, isManifest } from "@hull/oci/media-types";
import { formatPlatform, hostPlatform, platformRank } from "@hull/oci/platform";
import type { Client } from "./client.ts";
import { readBlob } from "./content.ts";

/** An image's record. */
export interface Image {
  readonly name: string;
  readonly target: Descriptor;
  readonly labels: Readonly<Record<string, string>>;
}

/** What of an image is for one platform. */
export interface PlatformImage {
  readonly descriptor: Descriptor;
  readonly manifest: Manifest;
  readonly config: ImageConfig;
}

/** @throws NotFound */
export async function getImage(client: Client, name: string): Promise<Image> {
  const { image } = await client.service(ImagesDefinition).get({ name });
  if (image?.target === undefined) throw internal(`the record of image "${name}" came without its target`);
  return { name: image.name, target: fromWireDescriptor(image.target), labels: image.labels };
}

/** A descriptor of the wire as the formats have it. */
export function fromWireDescriptor({ mediaType, digest, size, annotations }: WireDescriptor): Descriptor {
  return { mediaType, digest, size: Number(size), ...(Object.keys(annotations).length > 0 ? { annotations } : {}) };
}

/** A descriptor as the wire has it. */
export function toWireDescriptor({ mediaType, digest, size, annotations }: Descriptor): WireDescriptor {
  return { mediaType, digest, size: BigInt(size), annotations: { ...annotations } };
}

/**
 * The manifest and config of an image that fit a platform best, this host's unless told.
 * @throws NotFound if none fits, or its content is not here
 */
export async function platformImage(
  client: Client,
  target: Descriptor,
  platform: Platform = hostPlatform(),
): Promise<PlatformImage> {
  let best: { image: PlatformImage; rank: number } | undefined;
  let missing: unknown;
  for await (const found of manifestsOf(client, target, platform)) {
    if (found instanceof Error) {
      missing ??= found;
      continue;
    }
    const rank = platformRank(platform, found.config.platform) ?? Number.POSITIVE_INFINITY;
    if (rank !== Number.POSITIVE_INFINITY && rank < (best?.rank ?? Number.POSITIVE_INFINITY))
      best = { image: found, rank };
  }
  if (best !== undefined) return best.image;
  if (missing !== undefined) throw missing;
  throw notFound(`image has no manifest for platform "${formatPlatform(platform)}"`);
}

/** Every manifest below a target that may be for the platform; an error for each whose content is not here. */
async function* manifestsOf(
  client: Client,
  descriptor: Descriptor,
  platform: Platform,
): AsyncGenerator<PlatformImage | Error> {
  const { mediaType, digest } = descriptor;
  if (!isManifest(mediaType) && !isIndex(mediaType)) return;
  try {
    const document = parseDocument(`content "${digest}"`, await readBlob(client, digest, maxManifestSize), mediaType);
    if (document.kind === "index") {
      for (const child of document.index.manifests) {
        if (child.platform !== undefined && platformRank(platform, child.platform) === undefined) continue;
        yield* manifestsOf(client, child, platform);
      }
      return;
    }
    const { manifest } = document;
    if (!isConfig(manifest.config.mediaType)) return;
    const bytes = await readBlob(client, manifest.config.digest, maxConfigSize);
    yield { descriptor, manifest, config: parseImageConfig(`content "${manifest.config.digest}"`, bytes) };
  } catch (error) {
    if (!isCode(error, "notFound")) throw error;
    yield error;
  }
}

/** The name of the snapshot that an image's layers make. */
export function snapshotOf({ config }: PlatformImage): string {
  return chainId(config.diffIds);
}

/** True if the image's layers are there as a snapshot. */
export async function isUnpacked(client: Client, image: PlatformImage, snapshotter: string): Promise<boolean> {
  try {
    await client.service(SnapshotsDefinition).stat({ snapshotter, key: snapshotOf(image) });
    return true;
  } catch (error) {
    if (isCode(error, "notFound")) return false;
    throw error;
  }
}
