import type { Context } from "../context.ts";
import type { Labels } from "../labels.ts";

/** The namespaces: made on the first write into one, or by hand to carry labels. Publishes `/namespaces/…` in the namespace itself. */
export interface NamespaceStore {
  /** @throws NotFound */
  get(name: string): Promise<Labels>;
  list(): Promise<{ name: string; labels: Labels }[]>;
  /** @throws AlreadyExists; InvalidArgument */
  create(name: string, labels: Labels): Promise<void>;
  /** @throws NotFound; InvalidArgument */
  update(name: string, labels: Labels, fieldpaths?: readonly string[]): Promise<Labels>;
  /** @throws NotFound; FailedPrecondition while it holds images, containers, content, snapshots or leases (named in the text) */
  delete(name: string): Promise<void>;
}

export type NamespaceContext = Pick<Context, "namespace">;
