import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { createSubvolume, deleteSubvolume, snapshotSubvolume, subvolumeId } from "@hull/sys/btrfs";
import { isErrno } from "@hull/sys/errno";
import type { Context } from "../context.ts";
import { ChangeWalk } from "../diff/packer/changes.ts";
import type { Mount } from "../mount/index.ts";
import type { SnapshotKind, Usage } from "./index.ts";
import { refuseLabels } from "./overlayfs.ts";
import { RecordedSnapshotter } from "./recorded.ts";
import type { NewSnapshot, SnapshotRecord, SnapshotterOptions } from "./records.ts";
import { diskUsage } from "./usage.ts";

export interface BtrfsOptions extends SnapshotterOptions {
  /** The block device of the file system that `root` is on. */
  device: string;
}

const folders: Readonly<Record<SnapshotKind, string>> = { active: "active", view: "view", committed: "snapshots" };

/**
 * Snapshots as subvolumes of a btrfs file system, `<root>/{active,view,snapshots}/<id>`: each shares all of its parent's blocks until
 * they are changed. Layout and mounts are containerd's.
 */
export class BtrfsSnapshotter extends RecordedSnapshotter {
  readonly #root: string;
  readonly #device: string;

  constructor({ device, ...options }: BtrfsOptions) {
    super("btrfs", options);
    this.#root = options.root;
    this.#device = device;
    for (const folder of Object.values(folders))
      mkdirSync(join(options.root, folder), { recursive: true, mode: 0o755 });
  }

  protected async create(ctx: Context, snapshot: NewSnapshot): Promise<SnapshotRecord> {
    refuseLabels(snapshot.labels);
    return this.records.insert(ctx, snapshot, ({ id, kind, parents: [parent] }) => {
      const path = this.#path(kind, id);
      discard(path);
      if (parent === undefined) createSubvolume(path);
      else snapshotSubvolume(this.#path("committed", parent), path, { readOnly: kind === "view" });
    });
  }

  protected async measure(ctx: Context, { id, kind, parents: [parent] }: SnapshotRecord): Promise<Usage> {
    const path = this.#path(kind, id);
    if (parent === undefined) return await diskUsage(path, ctx.signal);
    return await changedUsage(this.#path("committed", parent), path, ctx.signal);
  }

  protected override freeze({ id }: SnapshotRecord): void {
    const committed = this.#path("committed", id);
    discard(committed);
    snapshotSubvolume(this.#path("active", id), committed, { readOnly: true });
    deleteSubvolume(this.#path("active", id));
  }

  protected mountsOf({ id, kind }: SnapshotRecord): Mount[] {
    const options = [`subvolid=${subvolumeId(this.#path(kind, id))}`, ...(kind === "active" ? [] : ["ro"])];
    return [{ type: "btrfs", source: this.#device, target: "", options }];
  }

  protected async removeFiles({ id, kind }: SnapshotRecord): Promise<void> {
    await this.records.durable();
    if (!this.records.owns(id)) discard(this.#path(kind, id));
  }

  async cleanup(): Promise<void> {
    await this.records.durable();
    for (const folder of Object.values(folders)) {
      for (const name of readdirSync(join(this.#root, folder))) {
        if (!this.records.owns(Number(name))) discard(join(this.#root, folder, name));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #path(kind: SnapshotKind, id: number): string {
    return join(this.#root, folders[kind], String(id));
  }
}

/** Deletes a subvolume, if it is there. */
function discard(path: string): void {
  try {
    deleteSubvolume(path);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}

/** What the files that differ from those of the parent take. */
async function changedUsage(parent: string, path: string, signal: AbortSignal): Promise<Usage> {
  const usage = { size: 0, inodes: 0 };
  let deadline = performance.now() + 4;
  const latin = (text: string) => Buffer.from(text).toString("latin1");
  for (const change of new ChangeWalk({ left: latin(parent), right: latin(path) }).changes()) {
    if (change.kind === "add" || change.kind === "modify") {
      usage.size += Number(change.stat.blocks) * 512;
      usage.inodes++;
    }
    if (performance.now() > deadline) {
      await new Promise(setImmediate);
      signal.throwIfAborted();
      deadline = performance.now() + 4;
    }
  }
  return usage;
}
