import { statSync } from "node:fs";
import { open } from "node:fs/promises";
import { notFound } from "@hull/errors";
import type { Context } from "../context.ts";
import type { Mount } from "../mount/index.ts";
import { copyTree } from "./copy-tree.ts";
import { SnapshotDirectories } from "./directories.ts";
import type { Usage } from "./index.ts";
import { refuseLabels } from "./overlayfs.ts";
import { RecordedSnapshotter } from "./recorded.ts";
import type { NewSnapshot, SnapshotRecord, SnapshotterOptions } from "./records.ts";

export interface BlockfileOptions extends SnapshotterOptions {
  /** An empty file system in a file: what a snapshot without a parent begins as. */
  scratch: string;
  /** Its type. Default: `ext4`. */
  fsType?: string;
  /** Of every mount, beside `loop`. */
  mountOptions?: readonly string[];
}

/**
 * Snapshots as file systems in files, `<root>/snapshots/<id>`, mounted by loop devices; each a copy of its parent's, of which the blocks
 * are shared where the file system below can (btrfs, xfs). Layout and mounts are containerd's.
 */
export class BlockfileSnapshotter extends RecordedSnapshotter {
  readonly #files: SnapshotDirectories;
  readonly #scratch: string;
  readonly #fsType: string;
  readonly #options: readonly string[];

  constructor({ scratch, fsType = "ext4", mountOptions = [], ...options }: BlockfileOptions) {
    super("blockfile", options);
    this.#files = new SnapshotDirectories(options.root, this.records);
    this.#scratch = scratch;
    this.#fsType = fsType;
    this.#options = mountOptions.includes("loop") ? mountOptions : [...mountOptions, "loop"];
  }

  protected async create(ctx: Context, snapshot: NewSnapshot): Promise<SnapshotRecord> {
    refuseLabels(snapshot.labels);
    const parent = this.records.check(ctx, snapshot);
    // A view is never written to: its parent's file serves.
    if (parent !== undefined && snapshot.kind === "view") return this.records.insert(ctx, snapshot, () => undefined);
    await using copy = this.#files.unborn("file");
    const source = parent === undefined ? this.#scratch : this.#files.path(parent.id);
    await copyTree(source, copy.path, ctx.signal).catch((error: unknown) => {
      if (parent === undefined || this.records.owns(parent.id)) throw error;
      throw notFound(`parent snapshot ${snapshot.parent} does not exist`, { cause: error });
    });
    await sync(copy.path);
    return this.records.insert(ctx, snapshot, ({ id }) => copy.adopt(id));
  }

  protected async measure(_ctx: Context, { id, parents: [parent] }: SnapshotRecord): Promise<Usage> {
    const allocated = (one: number) => statSync(this.#files.path(one)).blocks * 512;
    // An approximation: what is shared with the parent, if anything is, can't be told from what was written anew.
    const below = parent === undefined ? 0 : allocated(parent);
    return { size: Math.max(0, allocated(id) - below), inodes: 1 };
  }

  protected mountsOf({ id, kind, parents: [parent] }: SnapshotRecord): Mount[] {
    const source = this.#files.path(kind === "active" ? id : (parent ?? id));
    const options = [...this.#options, kind === "view" ? "ro" : "rw"];
    return [{ type: this.#fsType, source, target: "", options }];
  }

  protected removeFiles({ id }: SnapshotRecord): Promise<void> {
    return this.#files.remove(id);
  }

  cleanup(): Promise<void> {
    return this.#files.cleanup();
  }

  /** Waits for removals under way. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#files[Symbol.asyncDispose]();
  }
}

async function sync(path: string): Promise<void> {
  await using file = await open(path);
  await file.sync();
}
