import { invalidArgument, isCode } from "@hull/errors";
import {
  annotations,
  type Descriptor,
  digestOf,
  dockerManifestFile,
  formatReference,
  maxConfigSize,
  mediaTypes,
  normalizeReference,
  orderedPlatform,
  parseImageConfig,
} from "@hull/oci";
import type { ContentStore } from "../content/index.ts";
import type { Context } from "../context.ts";
import { detectCompression, detectionLength } from "../diff/compression/index.ts";
import type { ArchiveFile, ArchiveFiles } from "./archive-files.ts";
import { readBlob, storeBlob } from "./blobs.ts";
import { compressLayer } from "./compress.ts";

/** One image in `manifest.json` of `docker save` (moby, image/spec/v1.2.md, "Combined Image JSON + Filesystem Changeset Format"). */
interface SavedImage {
  config: string;
  layers: string[];
  repoTags: string[];
}

const layerTypes = {
  none: mediaTypes.dockerLayer,
  gzip: mediaTypes.dockerLayerGzip,
  zstd: mediaTypes.dockerLayerZstd,
} as const;

/**
 * Makes manifests and an index, as a registry would have them, of what `docker save` describes. Bytes and digests are the same as containerd's.
 * @throws InvalidArgument if the description is malformed or names files that aren't there
 */
export async function convertDockerArchive(
  ctx: Context,
  content: ContentStore,
  files: ArchiveFiles,
  description: Uint8Array,
  { compressLayers = false }: { compressLayers?: boolean } = {},
): Promise<{ index: Descriptor[]; descriptor: Descriptor }> {
  const manifests: Descriptor[] = [];
  for (const image of readDescription(description)) {
    const descriptor = await convertImage(ctx, content, files, image, compressLayers);
    const names = image.repoTags.map(namesOf);
    const { platform, ...bare } = descriptor;
    // In containerd's order of fields, which decides the index's digest.
    for (const name of names.length === 0 ? [undefined] : names)
      manifests.push({
        ...bare,
        ...(name === undefined ? {} : { annotations: name }),
        ...(platform === undefined ? {} : { platform: orderedPlatform(platform) }),
      });
  }
  const descriptor = await storeJson(ctx, content, mediaTypes.ociIndex, { schemaVersion: 2, manifests });
  return { index: manifests, descriptor };
}

function readDescription(bytes: Uint8Array): SavedImage[] {
  const malformed = (why: string, cause?: unknown) =>
    invalidArgument(`"${dockerManifestFile}" in the archive is malformed: ${why}`, { cause });
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw malformed((error as Error).message, error);
  }
  if (!Array.isArray(json)) throw malformed("it is not a list");
  return json.map((entry: unknown) => {
    const { Config, Layers, RepoTags } = (entry ?? {}) as { Config?: unknown; Layers?: unknown; RepoTags?: unknown };
    if (typeof Config !== "string" || Config === "") throw malformed('"Config" must be a path');
    return { config: Config, layers: texts(Layers, "Layers"), repoTags: texts(RepoTags, "RepoTags") };
  });

  function texts(value: unknown, key: string): string[] {
    const list = value ?? [];
    if (!Array.isArray(list) || !list.every((item) => typeof item === "string"))
      throw malformed(`"${key}" must be a list of texts`);
    return list as string[];
  }
}

async function convertImage(
  ctx: Context,
  content: ContentStore,
  files: ArchiveFiles,
  image: SavedImage,
  compress: boolean,
): Promise<Descriptor> {
  const file = (path: string): ArchiveFile => {
    const found = files.get(path);
    if (found === undefined) throw invalidArgument(`the archive is incomplete: "${path}" is missing`);
    return found;
  };
  const config = file(image.config);
  const { platform } = parseImageConfig(`"${image.config}"`, await readBlob(ctx, content, config, maxConfigSize));
  const layers: Descriptor[] = [];
  for (const path of image.layers) {
    const { digest, size } = file(path);
    const mediaType = await layerType(ctx, content, digest);
    layers.push(
      compress && mediaType === layerTypes.none
        ? { mediaType: layerTypes.gzip, ...(await compressLayer(ctx, content, digest)) }
        : { mediaType, digest, size },
    );
  }
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.dockerManifest,
    config: { mediaType: mediaTypes.dockerConfig, digest: config.digest, size: config.size },
    layers,
  };
  const descriptor = await storeJson(ctx, content, mediaTypes.dockerManifest, manifest);
  return platform.os === "" ? descriptor : { ...descriptor, platform };
}

async function layerType(ctx: Context, content: ContentStore, digest: string): Promise<string> {
  let start: Uint8Array = new Uint8Array();
  for await (const chunk of content.read(ctx, digest, { size: detectionLength })) start = Buffer.concat([start, chunk]);
  return layerTypes[detectCompression(start)];
}

function namesOf(repoTag: string): Record<string, string> {
  try {
    const reference = normalizeReference(repoTag);
    return {
      [annotations.imageName]: formatReference(reference),
      ...(reference.tag === undefined ? {} : { [annotations.refName]: reference.tag }),
    };
  } catch (error) {
    if (!isCode(error, "invalidArgument")) throw error;
    throw invalidArgument(`"${dockerManifestFile}" in the archive: ${error.message}`, { cause: error });
  }
}

async function storeJson(ctx: Context, content: ContentStore, mediaType: string, value: object): Promise<Descriptor> {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  const descriptor: Descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
  await storeBlob(ctx, {
    content,
    descriptor,
    source: async (offset) =>
      (async function* () {
        yield bytes.subarray(offset);
      })(),
  });
  return descriptor;
}
