import type { Context } from "../context.ts";
import type { Labels } from "../labels.ts";

/**
 * The namespaces: made on the first write into one, or by hand to carry labels. Publishes `/namespaces/…` in the namespace
 * itself.
 */
export interface NamespaceStore {
  /** The labels; none for a namespace that was never made, since the first write into one makes it. */
  get(name: string): Promise<Labels>;
  list(): Promise<{ name: string; labels: Labels }[]>;
  /** @throws AlreadyExists; InvalidArgument */
  create(name: string, labels: Labels): Promise<void>;
  /** Replaces the labels, or with paths `labels.<key>` only those. Makes the namespace if there is none. @throws InvalidArgument */
  update(name: string, labels: Labels, fieldpaths?: readonly string[]): Promise<Labels>;
  /** @throws NotFound; FailedPrecondition while it holds images, blobs, containers or snapshots (named in the text) */
  delete(name: string): Promise<void>;
}

export type NamespaceContext = Pick<Context, "namespace">;
