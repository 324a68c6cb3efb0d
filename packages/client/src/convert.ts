import { Readable } from "node:stream";
import { createGunzip, createZstdCompress, createZstdDecompress } from "node:zlib";
import { ContentDefinition } from "@hull/api/gen/containerd/services/content/v1/content";
import { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import { internal, invalidArgument, isCode, notFound } from "@hull/errors";
import type { Descriptor, Platform } from "@hull/oci/descriptor";
import { Digester } from "@hull/oci/digest";
import { encodeJson } from "@hull/oci/json";
import { childrenOf, maxManifestSize, parseDocument } from "@hull/oci/manifest";
import { childLabels, isIndex, isManifest, layerCompression, mediaTypes } from "@hull/oci/media-types";
import { platformRank } from "@hull/oci/platform";
import type { Client } from "./client.ts";
import { readBlob, readContent, writeContent } from "./content.ts";
import { getImage, type Image } from "./images.ts";
import { withLease } from "./lease.ts";

export interface ConvertOptions {
  /** What layers become; as they are unless told. */
  readonly layers?: "uncompressed" | "zstd";
  /** Docker's media types become OCI's. */
  readonly oci?: boolean;
  /** What of an index is taken over; all that it has for "all". */
  readonly platforms: readonly Platform[] | "all";
}

const ociTypes: Readonly<Record<string, string>> = {
  [mediaTypes.dockerList]: mediaTypes.ociIndex,
  [mediaTypes.dockerManifest]: mediaTypes.ociManifest,
  [mediaTypes.dockerConfig]: mediaTypes.ociConfig,
  [mediaTypes.dockerLayer]: mediaTypes.ociLayer,
  [mediaTypes.dockerLayerGzip]: mediaTypes.ociLayerGzip,
  [mediaTypes.dockerLayerZstd]: mediaTypes.ociLayerZstd,
  [mediaTypes.dockerForeignLayer]: mediaTypes.ociForeignLayer,
  [mediaTypes.dockerForeignLayerGzip]: mediaTypes.ociForeignLayerGzip,
};

const uncompressedLabel = "containerd.io/uncompressed";

/**
 * Makes an image of another one with its layers stored in another way; their files, and so its config, are the same.
 * What is called `target` already is replaced. @throws NotFound for the source, its content, or if nothing is for the platforms
 */
export function convertImage(client: Client, source: string, target: string, options: ConvertOptions): Promise<Image> {
  return withLease(client, async (leased) => {
    const image = await getImage(leased, source);
    const converted = (await new Converter(leased, options).convert(image.target)) ?? image.target;
    const { annotations = {} } = image.target;
    const wire = { ...converted, size: BigInt(converted.size), annotations };
    const record = { name: target, target: wire, labels: { ...image.labels } };
    const images = leased.service(ImagesDefinition);
    try {
      await images.create({ image: record });
    } catch (error) {
      if (!isCode(error, "alreadyExists")) throw error;
      await images.update({ image: record, updateMask: ["target"] });
    }
    return { name: target, target: { ...converted, annotations }, labels: image.labels };
  });
}

/** A document of JSON whose fields, known or not, keep their order. */
type Json = Record<string, unknown>;

class Converter {
  readonly #client: Client;
  readonly #options: ConvertOptions;
  /** A layer that two images have is converted once. */
  readonly #layers = new Map<string, Promise<Descriptor | undefined>>();

  constructor(client: Client, options: ConvertOptions) {
    this.#client = client;
    this.#options = options;
  }

  /** What a descriptor becomes; undefined for what stays as it is. */
  async convert(descriptor: Descriptor): Promise<Descriptor | undefined> {
    const { mediaType, digest } = descriptor;
    if (!isIndex(mediaType) && !isManifest(mediaType)) return undefined;
    const what = `content "${digest}"`;
    const bytes = await readBlob(this.#client, digest, maxManifestSize);
    const document = parseDocument(what, bytes, mediaType);
    const json = JSON.parse(new TextDecoder().decode(bytes)) as Json;
    const changed =
      document.kind === "index" ? await this.#index(json, document.index.manifests) : await this.#manifest(json);
    const type = this.#type(mediaType);
    if (!changed && type === mediaType) return undefined;
    if (type !== mediaType || json.mediaType !== undefined) json.mediaType = type;
    return await this.#write(type, json);
  }

  async #index(json: Json, manifests: readonly Descriptor[]): Promise<boolean> {
    const { platforms } = this.#options;
    const entries = json.manifests as Json[];
    const kept: Json[] = [];
    let changed = false;
    for (const [at, manifest] of manifests.entries()) {
      const entry = entries[at];
      if (entry === undefined) throw internal("an index has other manifests than were read of it");
      const { platform } = manifest;
      const wished =
        platforms === "all" || platform === undefined || platforms.some((each) => platformRank(each, platform) === 0);
      const converted = wished ? await this.convert(manifest) : undefined;
      if (wished) kept.push(converted === undefined ? entry : withTarget(entry, converted));
      changed ||= !wished || converted !== undefined;
    }
    if (kept.length === 0) throw notFound("the image has nothing for the platforms that are to be converted");
    json.manifests = kept;
    return changed;
  }

  async #manifest(json: Json): Promise<boolean> {
    const config = json.config as Json;
    const configType = String(config.mediaType ?? "");
    let changed = this.#type(configType) !== configType;
    if (changed) config.mediaType = this.#type(configType);
    const layers: Json[] = [];
    for (const layer of (json.layers ?? []) as Json[]) {
      const { mediaType = "", digest, size } = layer as { mediaType?: string; digest: string; size: number };
      const known = this.#layers.get(digest) ?? this.#layer({ mediaType, digest, size });
      this.#layers.set(digest, known);
      const converted = await known;
      layers.push(converted === undefined ? layer : withTarget(layer, converted));
      changed ||= converted !== undefined;
    }
    json.layers = layers;
    return changed;
  }

  async #layer({ mediaType, digest, size }: Descriptor): Promise<Descriptor | undefined> {
    const before = layerCompression(mediaType);
    const renamed = this.#type(mediaType);
    const wanted = this.#options.layers === "uncompressed" ? "" : this.#options.layers;
    if (before === undefined || wanted === undefined || wanted === before)
      return renamed === mediaType ? undefined : { mediaType: renamed, digest, size };
    const plain = renamed.replace(/[+.](gzip|zstd)$/, "");
    const suffix = wanted === "" ? "" : `${plain.startsWith("application/vnd.docker.") ? "." : "+"}${wanted}`;
    const digester = new Digester();
    const tar = throughDigester(decompressed(readContent(this.#client, digest), before), digester);
    const bytes = wanted === "" ? tar : (Readable.from(tar).pipe(createZstdCompress()) as AsyncIterable<Uint8Array>);
    const written = await writeContent(this.#client, `convert-${wanted || "uncompress"}-from-${digest}`, bytes);
    if (wanted !== "") await this.#label(written.digest, { [uncompressedLabel]: digester.digest() });
    return { mediaType: plain + suffix, ...written };
  }

  #type(mediaType: string): string {
    return this.#options.oci === true ? (ociTypes[mediaType] ?? mediaType) : mediaType;
  }

  async #write(mediaType: string, json: Json): Promise<Descriptor> {
    const bytes = encodeJson(json);
    const labels = childLabels(childrenOf(parseDocument("the converted document", bytes, mediaType)));
    async function* source() {
      yield bytes;
    }
    const written = await writeContent(this.#client, `convert-${crypto.randomUUID()}`, source(), { labels });
    await this.#label(written.digest, labels);
    return { mediaType, ...written };
  }

  /** Also for what was there already. */
  async #label(digest: string, labels: Record<string, string>): Promise<void> {
    const updateMask = Object.keys(labels).map((key) => `labels.${key}`);
    if (updateMask.length > 0)
      await this.#client.service(ContentDefinition).update({ info: { digest, labels }, updateMask });
  }
}

/** A descriptor's JSON that points to something else; its annotations and platform stay. */
function withTarget(entry: Json, { mediaType, digest, size }: Descriptor): Json {
  return { ...entry, mediaType, digest, size };
}

async function* throughDigester(source: AsyncIterable<Uint8Array>, digester: Digester): AsyncGenerator<Uint8Array> {
  for await (const bytes of source) {
    digester.update(bytes);
    yield bytes;
  }
}

async function* decompressed(
  source: AsyncIterable<Uint8Array>,
  compression: "" | "gzip" | "zstd",
): AsyncGenerator<Uint8Array> {
  if (compression === "") {
    yield* source;
    return;
  }
  const output = compression === "gzip" ? createGunzip() : createZstdDecompress();
  const input = Readable.from(source, { objectMode: false });
  let failure: unknown;
  input.on("error", (error) => {
    failure = error;
    output.destroy(error);
  });
  try {
    yield* input.pipe(output) as AsyncIterable<Uint8Array>;
  } catch (error) {
    if (failure !== undefined) throw failure;
    throw invalidArgument(`a layer's ${compression} data is damaged: ${(error as Error).message}`, { cause: error });
  } finally {
    input.destroy();
    output.destroy();
  }
}
