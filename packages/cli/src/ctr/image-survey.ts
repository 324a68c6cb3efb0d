import { ContentDefinition } from "@hull/api/gen/containerd/services/content/v1/content";
import type { Client } from "@hull/client/client";
import { readBlob } from "@hull/client/content";
import { HullError, isCode } from "@hull/errors";
import type { Descriptor, Platform } from "@hull/oci/descriptor";
import { maxConfigSize, maxManifestSize, parseDocument, parseImageConfig } from "@hull/oci/manifest";
import { isConfig, isIndex, isManifest } from "@hull/oci/media-types";
import { formatPlatform, hostPlatform, platformRank } from "@hull/oci/platform";
import { withClass } from "./errors.ts";

/** What an image is made of, as far as its content is here. */
export interface ImageSurvey {
  /** Bytes of the content for this host, of the descriptors; undefined if they can't be known. */
  readonly size: number | undefined;
  /** Platforms that there are manifests for, in order. */
  readonly platforms: readonly string[];
  /** Why the size is not known. */
  readonly error: string | undefined;
}

/** Walks an image's content. What is not here is left out; the best manifest for this host counts for the size. */
export async function surveyImage(client: Client, target: Descriptor): Promise<ImageSurvey> {
  const platforms = new Set<string>();
  try {
    const manifests = await manifestsOf(client, target, platforms);
    const ranked = manifests
      .map((each) => ({ ...each, rank: platformRank(hostPlatform(), each.platform) }))
      .filter((each) => each.rank !== undefined)
      .sort((a, b) => (a.rank ?? 0) - (b.rank ?? 0));
    const [best] = ranked;
    const size =
      best === undefined ? undefined : target.size + best.size - (best.digest === target.digest ? target.size : 0);
    const error =
      size === undefined ? `could not resolve platform ${formatPlatform(hostPlatform())}: not found` : undefined;
    return { size, platforms: [...platforms].sort(), error };
  } catch (error) {
    if (!isCode(error, "notFound")) throw error;
    return { size: undefined, platforms: [...platforms].sort(), error: withClass(HullError.from(error)) };
  }
}

interface ManifestSize {
  readonly digest: string;
  readonly platform: Platform;
  /** Of the manifest, its config and its layers. */
  readonly size: number;
}

async function manifestsOf(client: Client, descriptor: Descriptor, platforms: Set<string>): Promise<ManifestSize[]> {
  const { mediaType, digest } = descriptor;
  if (!isManifest(mediaType) && !isIndex(mediaType)) return [];
  const document = parseDocument(`content "${digest}"`, await readBlob(client, digest, maxManifestSize), mediaType);
  if (document.kind === "index") {
    const found: ManifestSize[] = [];
    for (const child of document.index.manifests) {
      try {
        found.push(...(await manifestsOf(client, child, platforms)));
      } catch (error) {
        if (!isCode(error, "notFound")) throw error;
      }
    }
    return found;
  }
  const { config, layers } = document.manifest;
  if (!isConfig(config.mediaType)) return [];
  const platform = descriptor.platform ?? (await platformOf(client, config));
  platforms.add(formatPlatform(platform));
  const size = [config, ...layers].reduce((sum, each) => sum + each.size, descriptor.size);
  return [{ digest, platform, size }];
}

async function platformOf(client: Client, { digest }: Descriptor): Promise<Platform> {
  return parseImageConfig(`content "${digest}"`, await readBlob(client, digest, maxConfigSize)).platform;
}

/** True if a blob is here whole. */
export async function isHere(client: Client, { digest }: Descriptor): Promise<boolean> {
  try {
    await client.service(ContentDefinition).info({ digest });
    return true;
  } catch (error) {
    if (isCode(error, "notFound")) return false;
    throw error;
  }
}
