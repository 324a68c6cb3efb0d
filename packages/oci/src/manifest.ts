/** Manifests, indexes and image configs, OCI's and Docker's, read and checked (OCI image spec: manifest.md, image-index.md, config.md). */

import { invalidArgument, unimplemented } from "@hull/errors";
import type { Descriptor, Platform } from "./descriptor.ts";
import { isDigest, parseDigest } from "./digest.ts";
import { type HealthCheck, healthCheckOf } from "./health-check.ts";
import { isConfig, isIndex, isManifest, mediaTypes } from "./media-types.ts";

/** The most bytes a manifest or index may have: containerd's limit, odd as it is. */
export const maxManifestSize = 4 * 1048 * 1048;
/** The most bytes an image config may have. */
export const maxConfigSize = 20 * 1024 * 1024;

export interface Manifest {
  schemaVersion: 2;
  mediaType: string;
  config: Descriptor;
  layers: Descriptor[];
  annotations?: Record<string, string>;
  artifactType?: string;
  subject?: Descriptor;
}

export interface Index {
  schemaVersion: 2;
  mediaType: string;
  manifests: Descriptor[];
  annotations?: Record<string, string>;
  artifactType?: string;
  subject?: Descriptor;
}

/** What of an image config matters to a runtime. Unknown fields stay in the blob. */
export interface ImageConfig {
  created?: string;
  author?: string;
  platform: Platform;
  /** digests of the layers' uncompressed tars, lowest first */
  diffIds: string[];
  config: ImageDefaults;
  history: HistoryEntry[];
}

export interface HistoryEntry {
  created?: string;
  createdBy?: string;
  author?: string;
  comment?: string;
  emptyLayer: boolean;
}

/** The part `config` of an image config: how its containers run unless told otherwise. */
export interface ImageDefaults {
  user: string;
  env: string[];
  entrypoint: string[];
  cmd: string[];
  workingDir: string;
  stopSignal?: string;
  labels: Record<string, string>;
  volumes: string[];
  exposedPorts: string[];
  /** How its containers' health is checked. */
  healthcheck?: HealthCheck;
}

type Json = Readonly<Record<string, unknown>>;

/** An object of JSON, checked with errors that name where they are. */
class Reader {
  readonly #what: string;
  readonly #json: Json;

  constructor(what: string, json: unknown) {
    if (typeof json !== "object" || json === null || Array.isArray(json))
      throw invalidArgument(`${what} is not a JSON object`);
    this.#what = what;
    this.#json = json as Json;
  }

  /** The field's value; undefined for null, as Go's decoder has it. */
  get(key: string): unknown {
    return (Object.hasOwn(this.#json, key) ? this.#json[key] : undefined) ?? undefined;
  }

  string(key: string): string | undefined {
    const value = this.get(key);
    if (value !== undefined && typeof value !== "string") throw this.wrong(key, "a text");
    return value;
  }

  strings(key: string): string[] {
    const value = this.get(key) ?? [];
    if (!Array.isArray(value) || !value.every((item) => typeof item === "string"))
      throw this.wrong(key, "a list of texts");
    return value as string[];
  }

  map(key: string): Record<string, string> | undefined {
    const value = this.get(key);
    if (value === undefined) return undefined;
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw this.wrong(key, "an object of texts");
    const result: Record<string, string> = Object.create(null) as Record<string, string>;
    for (const [name, text] of Object.entries(value)) {
      if (typeof text !== "string") throw this.wrong(`${key}.${name}`, "a text");
      result[name] = text;
    }
    return { ...result };
  }

  keys(key: string): string[] {
    const value = this.get(key) ?? {};
    if (typeof value !== "object" || Array.isArray(value)) throw this.wrong(key, "an object");
    return Object.keys(value);
  }

  object(key: string): Reader | undefined {
    const value = this.get(key);
    return value === undefined ? undefined : new Reader(`${this.#what}: "${key}"`, value);
  }

  list(key: string): Reader[] {
    const value = this.get(key) ?? [];
    if (!Array.isArray(value)) throw this.wrong(key, "a list");
    return value.map((item, index) => new Reader(`${this.#what}: "${key}[${index}]"`, item));
  }

  descriptor(): Descriptor {
    const digest = this.string("digest");
    const size = this.get("size");
    if (digest === undefined) throw invalidArgument(`${this.#what} has no "digest"`);
    if (!isDigest(digest)) {
      try {
        parseDigest(digest);
      } catch (error) {
        throw invalidArgument(`${this.#what}: ${(error as Error).message}`, { cause: error });
      }
    }
    if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0)
      throw this.wrong("size", "a whole number of bytes");
    const descriptor: Descriptor = { mediaType: this.string("mediaType") ?? "", digest, size };
    const urls = this.strings("urls");
    if (urls.length > 0) descriptor.urls = urls;
    const annotations = this.map("annotations");
    if (annotations !== undefined) descriptor.annotations = annotations;
    const platform = this.object("platform")?.platform();
    if (platform !== undefined) descriptor.platform = platform;
    const artifactType = this.string("artifactType");
    if (artifactType !== undefined) descriptor.artifactType = artifactType;
    const data = this.string("data");
    if (data !== undefined) descriptor.data = data;
    return descriptor;
  }

  platform(): Platform {
    const platform: Platform = { os: this.string("os") ?? "", architecture: this.string("architecture") ?? "" };
    const variant = this.string("variant");
    if (variant !== undefined && variant !== "") platform.variant = variant;
    const version = this.string("os.version");
    if (version !== undefined && version !== "") platform["os.version"] = version;
    const features = this.strings("os.features");
    if (features.length > 0) platform["os.features"] = features;
    return platform;
  }

  wrong(key: string, expected: string): Error {
    return invalidArgument(`${this.#what}: "${key}" must be ${expected}`);
  }
}

function read(what: string, bytes: Uint8Array, limit: number): Reader {
  if (bytes.length > limit) throw invalidArgument(`${what} has ${bytes.length} bytes: at most ${limit} are allowed`);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw invalidArgument(`${what} is not JSON: ${(error as Error).message}`, { cause: error });
  }
  return new Reader(what, json);
}

/**
 * Reads a manifest or an index, by the media type it was fetched as; a document that could be read as the other kind is refused, since two
 * readers might see two images in it (CVE-2021-41190). Without a media type the document says itself.
 * @param what names the document in errors, such as its digest
 * @throws InvalidArgument; Unimplemented for Docker's schema 1
 */
export function parseDocument(
  what: string,
  bytes: Uint8Array,
  mediaType?: string,
): { kind: "manifest"; manifest: Manifest } | { kind: "index"; index: Index } {
  const document = read(what, bytes, maxManifestSize);
  const own = document.string("mediaType") ?? "";
  const hasIndexFields = document.list("manifests").length > 0;
  const hasManifestFields = document.get("config") !== undefined || document.list("layers").length > 0;
  if (
    document.get("fsLayers") !== undefined ||
    document.get("schemaVersion") === 1 ||
    own.startsWith(mediaTypes.dockerSchema1.slice(0, -5))
  )
    throw unimplemented(
      `${what} is a manifest of Docker's schema 1, which nobody makes any more: build or push the image again`,
    );
  const type =
    mediaType === undefined || mediaType === ""
      ? own || (hasIndexFields ? mediaTypes.ociIndex : mediaTypes.ociManifest)
      : mediaType;
  const schemaVersion = document.get("schemaVersion");
  if (schemaVersion !== undefined && schemaVersion !== 2) throw document.wrong("schemaVersion", "2");
  if (isManifest(type)) {
    if (hasIndexFields || isIndex(own))
      throw invalidArgument(`${what} is of type "${type}", but has the fields of an index`);
    const config = document.object("config");
    if (config === undefined) throw invalidArgument(`${what} has no "config"`);
    const layers = document.list("layers").map((layer) => layer.descriptor());
    const manifest: Manifest = { schemaVersion: 2, mediaType: own || type, config: config.descriptor(), layers };
    return { kind: "manifest", manifest: common(document, manifest) };
  }
  if (isIndex(type)) {
    if (hasManifestFields || isManifest(own))
      throw invalidArgument(`${what} is of type "${type}", but has the fields of a manifest`);
    const manifests = document.list("manifests").map((manifest) => manifest.descriptor());
    return { kind: "index", index: common(document, { schemaVersion: 2, mediaType: own || type, manifests } as Index) };
  }
  throw invalidArgument(`${what} has the media type "${type}", which is neither a manifest nor an index`);
}

function common<T extends Manifest | Index>(document: Reader, result: T): T {
  const annotations = document.map("annotations");
  if (annotations !== undefined) result.annotations = annotations;
  const artifactType = document.string("artifactType");
  if (artifactType !== undefined) result.artifactType = artifactType;
  const subject = document.object("subject")?.descriptor();
  if (subject !== undefined) result.subject = subject;
  return result;
}

/** Reads a manifest. @throws InvalidArgument if it isn't one */
export function parseManifest(what: string, bytes: Uint8Array, mediaType: string = mediaTypes.ociManifest): Manifest {
  const document = parseDocument(what, bytes, mediaType);
  if (document.kind !== "manifest") throw invalidArgument(`${what} is an index, not a manifest`);
  return document.manifest;
}

/** Reads an index. @throws InvalidArgument if it isn't one */
export function parseIndex(what: string, bytes: Uint8Array, mediaType: string = mediaTypes.ociIndex): Index {
  const document = parseDocument(what, bytes, mediaType);
  if (document.kind !== "index") throw invalidArgument(`${what} is a manifest, not an index`);
  return document.index;
}

/** Reads an image config. @throws InvalidArgument */
export function parseImageConfig(what: string, bytes: Uint8Array): ImageConfig {
  const document = read(what, bytes, maxConfigSize);
  const rootfs = document.object("rootfs");
  const diffIds = rootfs?.strings("diff_ids") ?? [];
  for (const diffId of diffIds)
    if (!isDigest(diffId))
      throw invalidArgument(`${what}: rootfs.diff_ids has ${JSON.stringify(diffId)}, which is not a digest`);
  const defaults = document.object("config") ?? new Reader(what, {});
  const stopSignal = defaults.string("StopSignal");
  const healthcheck = healthCheckOf(defaults.get("Healthcheck"));
  const created = document.string("created");
  const author = document.string("author");
  return {
    ...(created === undefined ? {} : { created }),
    ...(author === undefined ? {} : { author }),
    platform: document.platform(),
    diffIds,
    config: {
      user: defaults.string("User") ?? "",
      env: defaults.strings("Env"),
      entrypoint: defaults.strings("Entrypoint"),
      cmd: defaults.strings("Cmd"),
      workingDir: defaults.string("WorkingDir") ?? "",
      ...(stopSignal === undefined || stopSignal === "" ? {} : { stopSignal }),
      labels: defaults.map("Labels") ?? {},
      volumes: defaults.keys("Volumes"),
      exposedPorts: defaults.keys("ExposedPorts"),
      ...(healthcheck === undefined ? {} : { healthcheck }),
    },
    history: document.list("history").map((entry) => ({
      ...(entry.string("created") === undefined ? {} : { created: entry.string("created") }),
      ...(entry.string("created_by") === undefined ? {} : { createdBy: entry.string("created_by") }),
      ...(entry.string("author") === undefined ? {} : { author: entry.string("author") }),
      ...(entry.string("comment") === undefined ? {} : { comment: entry.string("comment") }),
      emptyLayer: entry.get("empty_layer") === true,
    })),
  };
}

/** What a manifest or index points to, in the order that containerd labels it: config first, then layers; or the manifests. */
export function childrenOf(document: ReturnType<typeof parseDocument>): Descriptor[] {
  return document.kind === "manifest"
    ? [document.manifest.config, ...document.manifest.layers]
    : document.index.manifests;
}

/** True if the manifest is an image that can be unpacked and run, not another kind of artifact. */
export function isImage(manifest: Manifest): boolean {
  return isConfig(manifest.config.mediaType);
}
