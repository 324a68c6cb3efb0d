import type { Context } from "../context.ts";
import type { Labels, Nanoseconds, TypedBytes } from "../labels.ts";

/**
 * The container store: records of what to run. A running one has a task (`runtime`). A record keeps its snapshot and what its labels
 * refer to from the collector. Publishes `/containers/create`, `/containers/update`, `/containers/delete`.
 */
export interface ContainerStore {
  /** @throws NotFound */
  get(ctx: Context, id: string): Promise<Container>;
  list(ctx: Context, filters?: readonly string[]): Promise<Container[]>;
  /** @throws AlreadyExists; InvalidArgument (id, runtime name, spec, snapshotter: see the API reference) */
  create(ctx: Context, container: ContainerInput): Promise<Container>;
  /** Paths: `labels`, `labels.<key>`, `spec`, `extensions`, `extensions.<key>`, `image`, `snapshotkey`. @throws NotFound; InvalidArgument */
  update(ctx: Context, container: ContainerInput, fieldpaths?: readonly string[]): Promise<Container>;
  /** @throws NotFound */
  delete(ctx: Context, id: string): Promise<void>;
}

export interface Container {
  id: string;
  labels: Labels;
  /** Name of the image it was made from; need not exist. */
  image: string;
  runtime: { name: string; options?: TypedBytes };
  /** The OCI runtime spec, as the client gave it. */
  spec: TypedBytes;
  snapshotter: string;
  snapshotKey: string;
  sandbox: string;
  extensions: Readonly<Record<string, TypedBytes>>;
  createdAt: Nanoseconds;
  updatedAt: Nanoseconds;
}

export type ContainerInput = Omit<Container, "createdAt" | "updatedAt" | "spec"> & { spec?: TypedBytes };
