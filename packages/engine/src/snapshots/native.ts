import { chmodSync } from "node:fs";
import { notFound, unimplemented } from "@hull/errors";
import type { Context } from "../context.ts";
import type { Labels } from "../labels.ts";
import type { Mount } from "../mount/index.ts";
import { copyTree } from "./copy-tree.ts";
import { SnapshotDirectories } from "./directories.ts";
import type { SnapshotInfo, SnapshotOptions, Snapshotter, Usage } from "./index.ts";
import { bind, refuseRemapping } from "./overlayfs.ts";
import { type NewSnapshot, type SnapshotRecord, SnapshotRecords, type SnapshotterOptions } from "./records.ts";
import { diskUsage } from "./usage.ts";

/**
 * Snapshots as plain directories, `<root>/snapshots/<id>`, each a whole copy of its parent: works on every file system, slowly; where the
 * file system shares blocks between files (btrfs, xfs) the copy is cheap.
 */
export class NativeSnapshotter implements Snapshotter, AsyncDisposable {
  readonly name = "native";
  readonly capabilities: readonly string[] = [];
  readonly #records: SnapshotRecords;
  readonly #directories: SnapshotDirectories;

  constructor(options: SnapshotterOptions) {
    this.#records = new SnapshotRecords(this.name, options);
    this.#directories = new SnapshotDirectories(options.root, this.#records);
  }

  async stat(ctx: Context, key: string): Promise<SnapshotInfo> {
    return this.#records.stat(ctx, key);
  }

  async update(ctx: Context, key: string, labels: Labels, fieldpaths: readonly string[] = []): Promise<SnapshotInfo> {
    return this.#records.update(ctx, key, labels, fieldpaths);
  }

  async usage(ctx: Context, key: string): Promise<Usage> {
    const { id, kind } = this.#records.get(ctx, key);
    return kind === "active"
      ? diskUsage(this.#directories.path(id), ctx.signal)
      : this.#records.committedUsage(ctx, key);
  }

  async mounts(ctx: Context, key: string): Promise<Mount[]> {
    return this.#mountsOf(this.#records.getMountable(ctx, key));
  }

  prepare(ctx: Context, key: string, parent: string, { labels }: SnapshotOptions = {}): Promise<Mount[]> {
    return this.#create(ctx, { key, parent, kind: "active", labels });
  }

  view(ctx: Context, key: string, parent: string, { labels }: SnapshotOptions = {}): Promise<Mount[]> {
    return this.#create(ctx, { key, parent, kind: "view", labels });
  }

  async commit(
    ctx: Context,
    name: string,
    key: string,
    { labels, parent = "" }: SnapshotOptions & { parent?: string } = {},
  ): Promise<void> {
    if (parent !== "" && parent !== this.#records.stat(ctx, key).parent) {
      throw unimplemented(
        `snapshotter "native" can't give "${key}" the parent "${parent}" at commit: prepare it with it`,
      );
    }
    const { id, kind } = this.#records.get(ctx, key);
    const usage = kind === "active" ? await diskUsage(this.#directories.path(id), ctx.signal) : { size: 0, inodes: 0 };
    this.#records.commit(ctx, { key, name, labels, usage });
  }

  async remove(ctx: Context, key: string): Promise<void> {
    const { id } = this.#records.remove(ctx, key);
    await this.#directories.remove(id);
  }

  walk(ctx: Context, filters: readonly string[] = []): AsyncIterable<SnapshotInfo> {
    return this.#records.walk(ctx, filters, (info) => info);
  }

  cleanup(): Promise<void> {
    return this.#directories.cleanup();
  }

  /** Waits for removals under way. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#directories[Symbol.asyncDispose]();
  }

  async #create(ctx: Context, snapshot: NewSnapshot): Promise<Mount[]> {
    refuseRemapping(snapshot.labels);
    const parent = this.#records.check(ctx, snapshot);
    // A view is never written to: its parent's directory serves.
    if (parent === undefined || snapshot.kind === "view") {
      const record = this.#records.insert(ctx, snapshot, ({ id }) =>
        this.#directories.create(id, (path) => chmodSync(path, 0o755)),
      );
      return this.#mountsOf(record);
    }
    await using copy = this.#directories.unborn();
    await copyTree(this.#directories.path(parent.id), copy.path, ctx.signal).catch((error: unknown) => {
      if (!this.#records.owns(parent.id)) {
        throw notFound(`parent snapshot ${snapshot.parent} does not exist`, { cause: error });
      }
      throw error;
    });
    return this.#mountsOf(this.#records.insert(ctx, snapshot, ({ id }) => copy.adopt(id)));
  }

  #mountsOf({ id, kind, parents: [parent] }: SnapshotRecord): Mount[] {
    const [source, access] = kind === "active" ? [id, "rw" as const] : [parent ?? id, "ro" as const];
    // The order of containerd's, which is another one than overlayfs has.
    return [{ ...bind(this.#directories.path(source), access), options: ["rbind", access] }];
  }
}
