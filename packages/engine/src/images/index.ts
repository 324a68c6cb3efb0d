import type { Descriptor } from "@hull/oci/descriptor";
import type { Context } from "../context.ts";
import type { Labels, Nanoseconds } from "../labels.ts";

/**
 * The image store: names for manifests. An image keeps its target, and all that refers to by labels, from the collector.
 * Publishes `/images/create`, `/images/update`, `/images/delete`.
 */
export interface ImageStore {
  /** @throws NotFound */
  get(ctx: Context, name: string): Promise<Image>;
  list(ctx: Context, filters?: readonly string[]): Promise<Image[]>;
  /** @throws AlreadyExists; InvalidArgument if the name is empty or the target malformed */
  create(ctx: Context, image: ImageInput): Promise<Image>;
  /** Paths: `labels`, `labels.<key>`, `target`, `annotations`, `annotations.<key>`; none replaces labels and target. @throws NotFound; InvalidArgument */
  update(ctx: Context, image: ImageInput, fieldpaths?: readonly string[]): Promise<Image>;
  /** With `target` only if the image still points there. `sync` waits for a collection. @throws NotFound */
  delete(ctx: Context, name: string, options?: { sync?: boolean; target?: Descriptor }): Promise<void>;
}

export interface Image {
  name: string;
  labels: Labels;
  target: Descriptor;
  createdAt: Nanoseconds;
  updatedAt: Nanoseconds;
}

/** `createdAt`/`updatedAt` are set by the store unless given (source date epoch). */
export interface ImageInput {
  name: string;
  labels?: Labels;
  target: Descriptor;
  createdAt?: Nanoseconds;
  updatedAt?: Nanoseconds;
}
