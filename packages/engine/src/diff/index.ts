import type { Descriptor } from "@hull/oci/descriptor";
import type { Context } from "../context.ts";
import type { Labels, Nanoseconds, TypedBytes } from "../labels.ts";
import type { Mount } from "../mount/index.ts";

/**
 * Applies layers: turns a tar, compressed or not, into files. And makes them: turns what changed between two trees into a tar.
 *
 *   blob ──► decompress ──► diffID ──► tar entries ──► files below the mounts
 *   files below two lists of mounts ──► changes ──► tar entries ──► diffID ──► compress ──► blob
 *
 * All of it happens in a child, the unpacker, that is shut into the target before it reads the first byte: nothing that a layer
 * holds can reach outside. Deletions ("whiteouts", OCI image spec, layer.md) are done, or written down in overlayfs's own way
 * where the target is one layer of an overlay. When a layer fails, the target holds a part of it, and is to be thrown away.
 */

/** Applies a layer onto mounts. The layer's bytes come from the content store; the work is done by the unpacker, a child in a chroot. */
export interface Applier {
  /**
   * Unpacks the layer `descriptor` names. Gives the descriptor of the *uncompressed* tar: its digest is the diffID.
   * @throws NotFound if the blob is missing; Unimplemented for a media type it doesn't know; InvalidArgument if the layer is
   * corrupt or escapes its root (the target is then to be thrown away)
   */
  apply(ctx: Context, descriptor: Descriptor, mounts: readonly Mount[], options?: ApplyOptions): Promise<Descriptor>;
}

/** Makes layers: the difference of two trees, as an archive in the content store. */
export interface Comparer {
  /**
   * Writes what has to be done to the files below `left` to have those below `right` as a layer, and gives its descriptor. The same
   * files give the same bytes. No mounts at all are an empty directory. Label `containerd.io/uncompressed` of the blob is its diffID.
   *
   * @throws Unimplemented for a media type that isn't a layer's in the OCI image spec; Unavailable if another writer has the reference
   */
  compare(ctx: Context, left: readonly Mount[], right: readonly Mount[], options?: CompareOptions): Promise<Descriptor>;
}

/** Both ways. */
export type Differ = Applier & Comparer;

export interface CompareOptions {
  /** Of the layer, which says how it is compressed. Default: gzip, `application/vnd.oci.image.layer.v1.tar+gzip`. */
  mediaType?: string;
  /** Of the ingest that it is written through. Default: one that nobody else has. */
  ref?: string;
  labels?: Labels;
  /** Files are not newer than this in the layer: nanoseconds since 1970. */
  sourceDateEpoch?: Nanoseconds;
}

export interface ApplyOptions {
  /** Sync the file system afterwards. */
  syncFs?: boolean;
  /** Options of stream processors by their id. */
  payloads?: Readonly<Record<string, TypedBytes>>;
  /** Called with bytes of the compressed layer read so far, a few times a second. */
  progress?: (bytes: number) => void;
  /**
   * The target is a directory that gets its parent when it is committed (a snapshotter's "rebase"): deletions are written down
   * as overlayfs keeps them, instead of done. A hard link to a file that isn't in the layer, and an entry whose directory
   * isn't, are a FailedPrecondition then, and the layer is to be applied again onto its parent.
   */
  rebase?: boolean;
}
