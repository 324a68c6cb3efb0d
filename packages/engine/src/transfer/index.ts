import type { Descriptor, Platform } from "@hull/oci/descriptor";
import type { Context } from "../context.ts";
import type { Image } from "../images/index.ts";
import type { Labels } from "../labels.ts";
import type { CredentialsProvider, DumpWriter, Registry } from "../registry/index.ts";

/** Moves whole images between a registry, archives and the stores, and unpacks them into snapshots. */
export interface Transfer {
  /** A client of all registries, with the hosts and credentials of the configuration for what the caller doesn't say. */
  registry(options?: CallerRegistry): Registry;
  /**
   * Fetches what `reference` names for the platforms, unpacks (unless `unpack` is undefined) and records it as an image. Everything
   * fetched is kept by a lease while it runs and by the image afterwards; an interrupted pull leaves its ingests, and the next goes on.
   */
  pull(ctx: Context, registry: Registry, reference: string, options?: PullOptions): Promise<Image>;
  /** Reads an OCI layout or `docker save` archive (tar; also gzip or zstd). @throws InvalidArgument if it is neither or is cut off */
  import(ctx: Context, archive: AsyncIterable<Uint8Array>, options?: ImportOptions): Promise<Image[]>;
  /**
   * Uploads what `target` leads to under `reference`, children before parents; what the registry has isn't sent, what another of its
   * repositories has is taken over from there. @throws NotFound if content is missing here; as Registry.push
   */
  push(ctx: Context, registry: Registry, reference: string, target: Descriptor, options?: PushOptions): Promise<void>;
  /**
   * The images of these names as one archive, an OCI layout that `docker load` takes too. Nothing is given before all that belongs in it
   * was found. @throws NotFound for an image, its content, or if it is not for a wished platform
   */
  export(ctx: Context, names: readonly string[], options?: ExportOptions): AsyncIterable<Uint8Array>;
  /** Makes the snapshots of an image whose content is here. Gives the chain id of the top layer. */
  unpack(
    ctx: Context,
    target: Descriptor,
    options: UnpackOptions & { platform?: Platform; progress?: ProgressListener },
  ): Promise<string>;
}

/** How a caller wants registries spoken to. */
export interface CallerRegistry {
  /** Directory of `hosts.toml` files instead of the configuration's. */
  hostDirectory?: string;
  /** Plain HTTP for hosts that don't say their scheme. */
  plainHttp?: boolean;
  headers?: Readonly<Record<string, string>>;
  /** Asked before the configuration's. */
  credentials?: CredentialsProvider;
  /** Shown every request and response. */
  dump?: DumpWriter;
  /** Told of every request, in a line. */
  trace?: DumpWriter;
}

export interface UnpackOptions {
  snapshotter: string;
  /** Default: those that are fetched, this host's if that's all of them. */
  platform?: Platform;
  syncFs?: boolean;
}

export interface PullOptions {
  /** Default: this host's. `"all"`: every platform of the index. */
  platforms?: readonly Platform[] | "all";
  /** Manifests and configs of all other platforms too. */
  allMetadata?: boolean;
  /** At most so many manifests of each index, those that fit best; 0: all that fit. */
  manifestLimit?: number;
  unpack?: UnpackOptions;
  labels?: Labels;
  /** Layers fetched side by side: 3. */
  maxConcurrentDownloads?: number;
  /** Manifests and configs alone: no layers. Nothing is unpacked then. */
  metadataOnly?: boolean;
  /** Let the collector have layers that are unpacked; those of an image whose snapshots are there aren't fetched at all. */
  discardLayers?: boolean;
  progress?: ProgressListener;
}

export interface ImportOptions {
  platforms?: readonly Platform[] | "all";
  /** As of PullOptions. */
  manifestLimit?: number;
  unpack?: UnpackOptions;
  labels?: Labels;
  /** Prefix for references that are only a tag. */
  baseName?: string;
  /** Leave images out whose name is a full one and doesn't begin with the base name. */
  onlyBaseName?: boolean;
  /** Record each manifest by its digest too, as `<prefix>@<digest>`. */
  digestPrefix?: string;
  /** … but not those that have a name. */
  skipDigestForNamed?: boolean;
  /** Record the whole index under this name. */
  indexName?: string;
  /** Compress the layers of a `docker save` archive that aren't. */
  compressLayers?: boolean;
  progress?: ProgressListener;
}

export interface PushOptions {
  /** Which of an index; all of it unless told. */
  platforms?: readonly Platform[];
  /** Layers of other publishers' registries too. */
  foreignLayers?: boolean;
  /** Objects that are sent side by side: 3. */
  maxConcurrentUploads?: number;
  /** Names above the target in the progress. */
  parents?: readonly string[];
  progress?: ProgressListener;
}

export interface ExportOptions {
  /** Which of an index are written; default: this host's. Docker's `manifest.json` lists the first of them, of `"all"` this host's. */
  platforms?: readonly Platform[] | "all";
  /** Leave Docker's `manifest.json` out. */
  skipDockerManifest?: boolean;
  /** Leave layers out that their publisher doesn't let others distribute. */
  skipForeignLayers?: boolean;
}

/** One step of a long transfer; events as containerd's transfer service names them. */
export interface Progress {
  event:
    | "waiting"
    | "resolving"
    | "downloading"
    | "saving"
    | "complete"
    | "already exists"
    | "extracting"
    | "extracted"
    | "done"
    | string;
  /** `manifest-sha256:…`, `layer-sha256:…`, or an image's name */
  name: string;
  descriptor?: Descriptor;
  parents?: readonly string[];
  /** bytes so far */
  progress?: number;
  /** bytes in all */
  total?: number;
}

export type ProgressListener = (progress: Progress) => void;

export { LocalTransfer, type LocalTransferOptions } from "./local.ts";
