import type { ContentStore } from "@hull/engine/content/index";
import type { Context } from "@hull/engine/context";
import { walkImages } from "@hull/engine/transfer/tree";
import { notFound } from "@hull/errors";
import type { Descriptor, Platform } from "@hull/oci/descriptor";
import { chainId } from "@hull/oci/digest";
import type { ImageConfig } from "@hull/oci/manifest";

/** What an image's documents say of it. */
export interface ImageContent {
  /** Digest of its config. */
  readonly id: string;
  readonly config: ImageConfig;
  /** Key of its topmost snapshot; empty if it has no layers. */
  readonly chainId: string;
  /** Bytes of its index, manifest, config and layers, also of those that were let go. */
  readonly size: number;
  readonly platform: Platform;
  /** See `LocalImage`. */
  readonly checkpoint?: readonly Descriptor[];
}

/** An image with it is a container's checkpoint, its value the container's name (checkpoint-restore/checkpointctl, lib/metadata.go). */
const checkpointAnnotation = "org.criu.checkpoint.container.name";

/**
 * Reads the image that a record leads to: the one of that id if it is among them, else the one for the first of the platforms.
 * @throws NotFound if a document isn't here, or none is for these platforms; InvalidArgument for malformed ones
 */
export async function readImage(
  ctx: Context,
  content: ContentStore,
  target: Descriptor,
  platforms: readonly Platform[],
  id?: string,
): Promise<ImageContent> {
  let failure: unknown;
  let first: ImageContent | undefined;
  for (const platform of platforms) {
    try {
      const [image] = await walkImages(ctx, target, { content, platforms: [platform], keep: "nothing" });
      const { config, manifest, descriptor } = image ?? {};
      if (config === undefined || manifest === undefined || descriptor === undefined)
        throw notFound(`"${target.digest}" leads to no image: its config is of another kind`);
      const index = descriptor.digest === target.digest ? 0 : target.size;
      const parts = [descriptor, manifest.config, ...manifest.layers];
      const found = {
        id: manifest.config.digest,
        config,
        chainId: config.diffIds.length === 0 ? "" : chainId(config.diffIds),
        size: parts.reduce((sum, { size }) => sum + size, index),
        platform,
        checkpoint: manifest.annotations?.[checkpointAnnotation] === undefined ? undefined : manifest.layers,
      };
      if (id === undefined || found.id === id) return found;
      first ??= found;
    } catch (error) {
      failure ??= error;
    }
  }
  if (first !== undefined) return first;
  throw failure ?? notFound(`"${target.digest}" was looked for on no platform`);
}
