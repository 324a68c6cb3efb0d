import type { Descriptor, Platform } from "@hull/oci/descriptor";
import type { Context } from "../context.ts";
import type { Image } from "../images/index.ts";
import type { Labels } from "../labels.ts";
import type { Registry } from "../registry/index.ts";

/** Moves whole images between a registry, archives and the stores, and unpacks them into snapshots. */
export interface Transfer {
  /** Directories of hosts.toml files, from the configuration: for whoever opens a registry for a caller. */
  readonly hostDirectories: readonly string[];
  /**
   * Fetches what `reference` names for the platforms, unpacks (unless `unpack` is undefined) and records it as an image. Everything
   * fetched is kept by a lease while it runs and by the image afterwards; an interrupted pull leaves its ingests, and the next goes on.
   */
  pull(ctx: Context, registry: Registry, reference: string, options?: PullOptions): Promise<Image>;
  /** Reads an OCI layout or `docker save` archive (tar; also gzip or zstd). @throws InvalidArgument if it is neither or is cut off */
  import(ctx: Context, archive: AsyncIterable<Uint8Array>, options?: ImportOptions): Promise<Image[]>;
  /** Makes the snapshots of an image whose content is here. Gives the chain id of the top layer. */
  unpack(
    ctx: Context,
    target: Descriptor,
    options: UnpackOptions & { platform?: Platform; progress?: ProgressListener },
  ): Promise<string>;
}

export interface UnpackOptions {
  snapshotter: string;
  syncFs?: boolean;
}

export interface PullOptions {
  /** Default: this host's. `"all"`: every platform of the index. */
  platforms?: readonly Platform[] | "all";
  unpack?: UnpackOptions;
  labels?: Labels;
  /** Layers fetched side by side: 3. */
  maxConcurrentDownloads?: number;
  progress?: ProgressListener;
}

export interface ImportOptions {
  platforms?: readonly Platform[] | "all";
  unpack?: UnpackOptions;
  labels?: Labels;
  /** Prefix for references that are only a tag. */
  baseName?: string;
  /** Record each manifest by its digest too, as `<prefix>@<digest>`. */
  digestPrefix?: string;
  /** Record the whole index under this name. */
  indexName?: string;
  progress?: ProgressListener;
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
