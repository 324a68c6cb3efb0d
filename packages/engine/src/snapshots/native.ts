import { chmodSync } from "node:fs";
import { notFound } from "@hull/errors";
import type { Context } from "../context.ts";
import type { Mount } from "../mount/index.ts";
import { copyTree } from "./copy-tree.ts";
import { SnapshotDirectories } from "./directories.ts";
import type { Usage } from "./index.ts";
import { bind, refuseLabels } from "./overlayfs.ts";
import { RecordedSnapshotter } from "./recorded.ts";
import type { NewSnapshot, SnapshotRecord, SnapshotterOptions } from "./records.ts";
import { diskUsage } from "./usage.ts";

/**
 * Snapshots as plain directories, `<root>/snapshots/<id>`, each a whole copy of its parent: works on every file system, slowly; where the
 * file system shares blocks between files (btrfs, xfs) the copy is cheap.
 */
export class NativeSnapshotter extends RecordedSnapshotter {
  readonly #directories: SnapshotDirectories;

  constructor(options: SnapshotterOptions) {
    super("native", options);
    this.#directories = new SnapshotDirectories(options.root, this.records);
  }

  protected async create(ctx: Context, snapshot: NewSnapshot): Promise<SnapshotRecord> {
    refuseLabels(snapshot.labels);
    const parent = this.records.check(ctx, snapshot);
    // A view is never written to: its parent's directory serves.
    if (parent === undefined || snapshot.kind === "view") {
      return this.records.insert(ctx, snapshot, ({ id }) =>
        this.#directories.create(id, (path) => chmodSync(path, 0o755)),
      );
    }
    await using copy = this.#directories.unborn();
    await copyTree(this.#directories.path(parent.id), copy.path, ctx.signal).catch((error: unknown) => {
      if (!this.records.owns(parent.id)) {
        throw notFound(`parent snapshot ${snapshot.parent} does not exist`, { cause: error });
      }
      throw error;
    });
    return this.records.insert(ctx, snapshot, ({ id }) => copy.adopt(id));
  }

  protected measure(ctx: Context, { id }: SnapshotRecord): Promise<Usage> {
    return diskUsage(this.#directories.path(id), ctx.signal);
  }

  protected mountsOf({ id, kind, parents: [parent] }: SnapshotRecord): Mount[] {
    const [source, access] = kind === "active" ? [id, "rw" as const] : [parent ?? id, "ro" as const];
    // The order of containerd's, which is another one than overlayfs has.
    return [{ ...bind(this.#directories.path(source), access), options: ["rbind", access] }];
  }

  protected removeFiles({ id }: SnapshotRecord): Promise<void> {
    return this.#directories.remove(id);
  }

  cleanup(): Promise<void> {
    return this.#directories.cleanup();
  }

  /** Waits for removals under way. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#directories[Symbol.asyncDispose]();
  }
}
