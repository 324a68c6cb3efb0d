import { internal, invalidArgument, notFound } from "@hull/errors";
import {
  annotations,
  blobPath,
  childrenOf,
  type Descriptor,
  dockerManifestFile,
  encodeJson,
  familiarReference,
  hostPlatform,
  indexFile,
  isForeignLayer,
  isIndex,
  isManifest,
  layoutContent,
  layoutFile,
  maxManifestSize,
  mediaTypes,
  normalizeReference,
  orderedDescriptor,
  type Platform,
  parseDocument,
  parseReference,
  platformRank,
} from "@hull/oci";
import type { ContentStore } from "../content/index.ts";
import type { Context } from "../context.ts";
import { encodeHeader, endOfArchive, paddingAfter } from "../diff/tar/index.ts";
import { readBlob } from "./blobs.ts";
import type { ExportOptions } from "./index.ts";

/** What of an image is written: its name, and what it points to. */
export interface ExportedImage {
  name: string;
  target: Descriptor;
}

/** An entry of the archive: a blob of the store, or bytes made here. */
type File = { path: string; mode: number } & ({ blob: Descriptor } | { bytes: Uint8Array });

/**
 * Writes images as one archive that is an OCI layout (OCI image spec, image-layout.md) and what `docker load` reads: the same bytes as
 * containerd's export. Entries are in the order of their names. See Transfer.export.
 */
export async function* exportImages(
  ctx: Context,
  content: ContentStore,
  images: readonly ExportedImage[],
  options: ExportOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const plan = new Plan(ctx, content, options);
  for (const image of images) await plan.add(image);
  yield* write(ctx, content, await plan.files());
}

/** Collects what goes into the archive before the first byte is written: whatever is missing is told by then. */
class Plan {
  readonly #ctx: Context;
  readonly #content: ContentStore;
  readonly #options: ExportOptions;
  readonly #blobs = new Map<string, Descriptor>();
  readonly #index: Descriptor[] = [];
  /** Manifests for Docker, with the names that they are known by. */
  readonly #docker = new Map<string, { manifest: Descriptor; names: string[] }>();

  constructor(ctx: Context, content: ContentStore, options: ExportOptions) {
    this.#ctx = ctx;
    this.#content = content;
    this.#options = options;
  }

  async add({ name, target }: ExportedImage): Promise<void> {
    const { platform: _, ...bare } = target;
    const named = { [annotations.imageName]: name, [annotations.refName]: objectOf(name) };
    this.#index.push(orderedDescriptor({ ...bare, annotations: { ...target.annotations, ...named } }));
    const manifest = isIndex(target.mediaType) ? await this.#indexed(target) : target;
    if (!isManifest(manifest.mediaType) && !isIndex(manifest.mediaType))
      throw invalidArgument(`only manifests may be exported: "${name}" is of the type "${manifest.mediaType}"`);
    if (manifest === target) await this.#collect(target);
    const known = this.#docker.get(manifest.digest) ?? { manifest, names: [] };
    known.names.push(name);
    this.#docker.set(manifest.digest, known);
  }

  /** Takes what is wished of an index. Gives the one of its manifests that is for Docker, which knows no others. */
  async #indexed(target: Descriptor): Promise<Descriptor> {
    const { platforms } = this.#options;
    const wished = platforms === undefined || platforms === "all" ? [hostPlatform()] : platforms;
    const document = parseDocument(`"${target.digest}"`, await this.#read(target), target.mediaType);
    this.#blobs.set(target.digest, target);
    const matching: { manifest: Descriptor; rank: number }[] = [];
    for (const manifest of childrenOf(document)) {
      const rank = rankOf(manifest.platform, wished);
      if (rank !== undefined) matching.push({ manifest, rank });
      else if (platforms !== "all") continue;
      await this.#collect(manifest);
    }
    const [best] = matching.sort((a, b) => a.rank - b.rank);
    if (best === undefined) throw notFound("no manifest found for platform");
    return best.manifest;
  }

  async #collect(descriptor: Descriptor): Promise<void> {
    const { digest, mediaType } = descriptor;
    if (this.#blobs.has(digest)) return;
    if (this.#options.skipForeignLayers === true && isForeignLayer(mediaType)) return;
    const { size } = await this.#content.info(this.#ctx, digest);
    this.#blobs.set(digest, { ...descriptor, size });
    if (!isManifest(mediaType) && !isIndex(mediaType)) return;
    const document = parseDocument(`"${digest}"`, await this.#read(descriptor), mediaType);
    for (const child of childrenOf(document)) await this.#collect(child);
  }

  #read(descriptor: Descriptor): Promise<Uint8Array> {
    return readBlob(this.#ctx, this.#content, descriptor, maxManifestSize);
  }

  async files(): Promise<File[]> {
    const blobs = [...this.#blobs.values()];
    const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: this.#index };
    const files: File[] = [
      ...blobs.map((blob) => ({ path: blobPath(blob.digest), mode: 0o444, blob })),
      { path: layoutFile, mode: 0o444, bytes: Buffer.from(layoutContent) },
      { path: indexFile, mode: 0o644, bytes: encodeJson(index) },
    ];
    if (this.#options.skipDockerManifest !== true)
      files.push({ path: dockerManifestFile, mode: 0o644, bytes: encodeJson(await this.#dockerManifest()) });
    return files.sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  async #dockerManifest(): Promise<object[]> {
    const entries: object[] = [];
    for (const { manifest, names } of this.#docker.values()) {
      const document = parseDocument(`"${manifest.digest}"`, await this.#read(manifest), manifest.mediaType);
      if (document.kind === "index") continue;
      const { config, layers } = document.manifest;
      entries.push({
        Config: blobPath(config.digest),
        RepoTags: names.map(dockerName),
        Layers: layers.map(({ digest }) => blobPath(digest)),
      });
    }
    return entries;
  }
}

/** Where a manifest stands among the wished platforms, which are matched exactly; one that says no platform comes last. */
function rankOf(platform: Platform | undefined, wished: readonly Platform[]): number | undefined {
  if (platform === undefined) return wished.length;
  const rank = wished.findIndex((each) => platformRank(each, platform) === 0);
  return rank < 0 ? undefined : rank;
}

/** The tag of a name, or its digest behind "@" and all before; a name that is no reference, whole. */
function objectOf(name: string): string {
  try {
    const { tag, digest } = parseReference(name);
    const object = [tag ?? "", ...(digest === undefined ? [] : [digest])].join("@");
    return object === "" ? name : object;
  } catch {
    return name;
  }
}

/** A name as `docker load` takes it. @throws InvalidArgument for what Docker wouldn't call an image */
function dockerName(name: string): string {
  const reference = normalizeReference(name);
  const familiar = familiarReference(reference);
  return reference.tag === "latest" && reference.digest === undefined ? `${familiar}:latest` : familiar;
}

async function* write(
  ctx: Context,
  content: ContentStore,
  files: readonly File[],
): AsyncGenerator<Uint8Array, void, undefined> {
  const folders = new Set<string>();
  for (const file of files) {
    for (const folder of foldersOf(file.path)) {
      if (folders.has(folder)) continue;
      folders.add(folder);
      yield encodeHeader({ name: folder, type: "directory", mode: 0o755 });
    }
    const size = "blob" in file ? file.blob.size : file.bytes.length;
    yield encodeHeader({ name: file.path, type: "file", mode: file.mode, size });
    if ("bytes" in file) yield file.bytes;
    else yield* exactly(content.read(ctx, file.blob.digest), file.blob);
    yield paddingAfter(size);
  }
  yield endOfArchive;
}

/** `a/b/c` → `a/`, `a/b/`. */
function foldersOf(path: string): string[] {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_, at) => `${parts.slice(0, at + 1).join("/")}/`);
}

/** A header has told the size: other bytes than that would make all that follows unreadable. */
async function* exactly(
  bytes: AsyncIterable<Uint8Array>,
  { digest, size }: Descriptor,
): AsyncGenerator<Uint8Array, void, undefined> {
  let sent = 0;
  for await (const chunk of bytes) {
    sent += chunk.length;
    yield chunk;
  }
  if (sent !== size) throw internal(`blob "${digest}" has ${sent} bytes instead of ${size}`);
}
