import type { Context } from "../context.ts";
import type { Labels, Nanoseconds } from "../labels.ts";
import type { Mount } from "../mount/index.ts";

/**
 * A snapshotter keeps file system states as a tree of immutable layers.
 *
 *   prepare(key, parent) ──► active ──commit(name)──► committed ──prepare/view──► …
 *   view(key, parent)    ──► view (read-only, never committed)
 *
 * An active snapshot is changed through its mounts, by whoever mounts them; the snapshotter itself mounts nothing. A committed
 * snapshot never changes, and can't be removed while it has children. Keys and names share one space per namespace and
 * snapshotter. Every method is atomic: after a crash the snapshot is there whole, or not at all.
 */
export interface Snapshotter {
  /** The id clients choose it by: `overlayfs`, `native`, … */
  readonly name: string;
  /** @throws NotFound */
  stat(ctx: Context, key: string): Promise<SnapshotInfo>;
  /** Changes labels (`fieldpaths` as in ContentStore.update). @throws NotFound; InvalidArgument */
  update(ctx: Context, key: string, labels: Labels, fieldpaths?: readonly string[]): Promise<SnapshotInfo>;
  /** Disk use of what the snapshot itself adds to its parents. @throws NotFound */
  usage(ctx: Context, key: string): Promise<Usage>;
  /** How to mount an active snapshot or a view. @throws NotFound; FailedPrecondition for a committed one */
  mounts(ctx: Context, key: string): Promise<Mount[]>;
  /** @throws NotFound if `parent` does not exist; InvalidArgument if it is not committed; AlreadyExists if `key` does */
  prepare(ctx: Context, key: string, parent: string, options?: SnapshotOptions): Promise<Mount[]>;
  /** As prepare, read-only. */
  view(ctx: Context, key: string, parent: string, options?: SnapshotOptions): Promise<Mount[]>;
  /**
   * Freezes the active snapshot `key` as `name`. With `parent` (capability "rebase") the snapshot, prepared without one, gets it now.
   * @throws NotFound; AlreadyExists if `name` exists; FailedPrecondition if `key` is not active
   */
  commit(ctx: Context, name: string, key: string, options?: SnapshotOptions & { parent?: string }): Promise<void>;
  /** @throws NotFound; FailedPrecondition while it has children */
  remove(ctx: Context, key: string): Promise<void>;
  walk(ctx: Context, filters?: readonly string[]): AsyncIterable<SnapshotInfo>;
  /** Deletes directories that no snapshot owns any more. */
  cleanup(): Promise<void>;
  /** What it can do beyond the rest, e.g. `rebase`: a parent given at commit. */
  readonly capabilities: readonly string[];
}

export type SnapshotKind = "active" | "view" | "committed";

export interface SnapshotInfo {
  name: string;
  /** empty for a base */
  parent: string;
  kind: SnapshotKind;
  labels: Labels;
  createdAt: Nanoseconds;
  updatedAt: Nanoseconds;
}

export interface SnapshotOptions {
  labels?: Labels;
}

/** Bytes as allocated on disk, and inodes. */
export interface Usage {
  size: number;
  inodes: number;
}
