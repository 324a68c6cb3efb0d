import type { Context } from "../context.ts";
import type { Labels, Nanoseconds } from "../labels.ts";

/**
 * Leases keep things that nothing refers to yet: what a call with `ctx.lease` creates is added to that lease in the same
 * transaction, until the lease is deleted or expires (label `containerd.io/gc.expire`).
 */
export interface LeaseStore {
  /** An empty id is made up. @throws AlreadyExists */
  create(ctx: Context, id: string, labels: Labels): Promise<Lease>;
  /** `sync` waits for a collection. @throws NotFound */
  delete(ctx: Context, id: string, options?: { sync?: boolean }): Promise<void>;
  list(ctx: Context, filters?: readonly string[]): Promise<Lease[]>;
  /** @throws NotFound; InvalidArgument for an unknown type */
  addResource(ctx: Context, id: string, resource: LeaseResource): Promise<void>;
  deleteResource(ctx: Context, id: string, resource: LeaseResource): Promise<void>;
  listResources(ctx: Context, id: string): Promise<LeaseResource[]>;
}

export interface Lease {
  id: string;
  labels: Labels;
  createdAt: Nanoseconds;
}

/** `type`: `content`, `ingests`, `snapshots/<snapshotter>`, `images`. */
export interface LeaseResource {
  type: string;
  id: string;
}
