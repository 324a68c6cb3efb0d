import type { Descriptor } from "@hull/oci/descriptor";
import type { Context } from "../context.ts";
import type { TypedBytes } from "../labels.ts";
import type { Mount } from "../mount/index.ts";

/** Applies a layer onto mounts. The layer's bytes come from the content store; the work is done by the unpacker, a child in a chroot. */
export interface Applier {
  /**
   * Unpacks the layer `descriptor` names. Gives the descriptor of the *uncompressed* tar: its digest is the diffID.
   * @throws NotFound if the blob is missing; Unimplemented for a media type it doesn't know; InvalidArgument if the layer is
   * corrupt or escapes its root (the target is then to be thrown away)
   */
  apply(ctx: Context, descriptor: Descriptor, mounts: readonly Mount[], options?: ApplyOptions): Promise<Descriptor>;
}

export interface ApplyOptions {
  /** Sync the file system afterwards. */
  syncFs?: boolean;
  /** Options of stream processors by their id. */
  payloads?: Readonly<Record<string, TypedBytes>>;
  /** Called with bytes of the compressed layer read so far. */
  progress?: (bytes: number) => void;
}
