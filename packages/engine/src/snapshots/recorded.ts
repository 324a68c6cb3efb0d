import { unimplemented } from "@hull/errors";
import type { Context } from "../context.ts";
import type { Labels } from "../labels.ts";
import type { Mount } from "../mount/index.ts";
import type { SnapshotInfo, SnapshotOptions, Snapshotter, Usage } from "./index.ts";
import { type NewSnapshot, type SnapshotRecord, SnapshotRecords, type SnapshotterOptions } from "./records.ts";

/**
 * What snapshotters that keep each snapshot as a whole (a directory, a file, a subvolume) have in common: all but how a snapshot is made,
 * measured, mounted and removed.
 */
export abstract class RecordedSnapshotter implements Snapshotter, AsyncDisposable {
  readonly name: string;
  readonly capabilities: readonly string[] = [];
  protected readonly records: SnapshotRecords;

  protected constructor(name: string, options: SnapshotterOptions) {
    this.name = name;
    this.records = new SnapshotRecords(name, options);
  }

  /** Makes the files of a snapshot and records it. */
  protected abstract create(ctx: Context, snapshot: NewSnapshot): Promise<SnapshotRecord>;
  /** What an active snapshot takes on disk beyond its parent. */
  protected abstract measure(ctx: Context, record: SnapshotRecord): Promise<Usage>;
  protected abstract mountsOf(record: SnapshotRecord): Mount[];
  /** Removes the files of a snapshot whose record is gone. */
  protected abstract removeFiles(record: SnapshotRecord): Promise<void>;
  /** Freezes the files, inside the transaction that makes the snapshot a committed one. */
  protected freeze(_record: SnapshotRecord): void {}
  abstract cleanup(): Promise<void>;
  abstract [Symbol.asyncDispose](): Promise<void>;

  async stat(ctx: Context, key: string): Promise<SnapshotInfo> {
    return this.records.stat(ctx, key);
  }

  async update(ctx: Context, key: string, labels: Labels, fieldpaths: readonly string[] = []): Promise<SnapshotInfo> {
    return this.records.update(ctx, key, labels, fieldpaths);
  }

  async usage(ctx: Context, key: string): Promise<Usage> {
    const record = this.records.get(ctx, key);
    return record.kind === "active" ? await this.measure(ctx, record) : this.records.committedUsage(ctx, key);
  }

  async mounts(ctx: Context, key: string): Promise<Mount[]> {
    return this.mountsOf(this.records.getMountable(ctx, key));
  }

  async prepare(ctx: Context, key: string, parent: string, { labels }: SnapshotOptions = {}): Promise<Mount[]> {
    return this.mountsOf(await this.create(ctx, { key, parent, kind: "active", labels }));
  }

  async view(ctx: Context, key: string, parent: string, { labels }: SnapshotOptions = {}): Promise<Mount[]> {
    return this.mountsOf(await this.create(ctx, { key, parent, kind: "view", labels }));
  }

  async commit(
    ctx: Context,
    name: string,
    key: string,
    { labels, parent = "" }: SnapshotOptions & { parent?: string } = {},
  ): Promise<void> {
    if (parent !== "" && parent !== this.records.stat(ctx, key).parent) {
      throw unimplemented(
        `snapshotter "${this.name}" can't give "${key}" the parent "${parent}" at commit: prepare it with it`,
      );
    }
    const record = this.records.get(ctx, key);
    const usage = record.kind === "active" ? await this.measure(ctx, record) : { size: 0, inodes: 0 };
    this.records.commit(ctx, { key, name, labels, usage }, () => this.freeze(record));
  }

  async remove(ctx: Context, key: string): Promise<void> {
    await this.removeFiles(this.records.remove(ctx, key));
  }

  walk(ctx: Context, filters: readonly string[] = []): AsyncIterable<SnapshotInfo> {
    return this.records.walk(ctx, filters, (info) => info);
  }
}
