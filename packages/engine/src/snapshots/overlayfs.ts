import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { unimplemented } from "@hull/errors";
import type { Context } from "../context.ts";
import type { Labels } from "../labels.ts";
import type { Mount } from "../mount/index.ts";
import { SnapshotDirectories } from "./directories.ts";
import type { SnapshotInfo, SnapshotOptions, Snapshotter, Usage } from "./index.ts";
import { type NewSnapshot, type SnapshotRecord, SnapshotRecords, type SnapshotterOptions } from "./records.ts";
import { diskUsage } from "./usage.ts";

export interface OverlayOptions extends SnapshotterOptions {
  /** Show where the changed files of a snapshot are: label `containerd.io/snapshot/overlay.upperdir`. */
  upperdirLabel?: boolean;
  /** Wait in `remove` until the files are gone. */
  syncRemove?: boolean;
  /** Options for every overlay mount, e.g. `volatile`. */
  mountOptions?: readonly string[];
}

const upperdirLabel = "containerd.io/snapshot/overlay.upperdir";

/**
 * Snapshots as layers of the kernel's overlay file system: `<root>/snapshots/<id>/{fs,work}`. A snapshot's own files are in `fs`; a mount
 * stacks those of its parents below. Directory layout and mounts are containerd's.
 */
export class OverlaySnapshotter implements Snapshotter, AsyncDisposable {
  readonly name = "overlayfs";
  readonly capabilities = ["rebase"];
  readonly #records: SnapshotRecords;
  readonly #directories: SnapshotDirectories;
  readonly #showUpperdir: boolean;
  readonly #syncRemove: boolean;
  readonly #options: readonly string[];

  constructor(options: OverlayOptions) {
    this.#records = new SnapshotRecords(this.name, options);
    this.#directories = new SnapshotDirectories(options.root, this.#records);
    this.#showUpperdir = options.upperdirLabel ?? false;
    this.#syncRemove = options.syncRemove ?? false;
    this.#options = [...kernelOptions(), ...(options.mountOptions ?? [])];
  }

  async stat(ctx: Context, key: string): Promise<SnapshotInfo> {
    return this.#present(this.#records.stat(ctx, key), () => this.#records.get(ctx, key));
  }

  async update(ctx: Context, key: string, labels: Labels, fieldpaths: readonly string[] = []): Promise<SnapshotInfo> {
    return this.#present(this.#records.update(ctx, key, labels, fieldpaths), () => this.#records.get(ctx, key));
  }

  async usage(ctx: Context, key: string): Promise<Usage> {
    const { id, kind } = this.#records.get(ctx, key);
    return kind === "active" ? diskUsage(this.#files(id), ctx.signal) : this.#records.committedUsage(ctx, key);
  }

  async mounts(ctx: Context, key: string): Promise<Mount[]> {
    return this.#mountsOf(this.#records.getMountable(ctx, key));
  }

  async prepare(ctx: Context, key: string, parent: string, { labels }: SnapshotOptions = {}): Promise<Mount[]> {
    return this.#create(ctx, { key, parent, kind: "active", labels });
  }

  async view(ctx: Context, key: string, parent: string, { labels }: SnapshotOptions = {}): Promise<Mount[]> {
    return this.#create(ctx, { key, parent, kind: "view", labels });
  }

  async commit(
    ctx: Context,
    name: string,
    key: string,
    { labels, parent }: SnapshotOptions & { parent?: string } = {},
  ): Promise<void> {
    const { id, kind } = this.#records.get(ctx, key);
    const usage = kind === "active" ? await diskUsage(this.#files(id), ctx.signal) : { size: 0, inodes: 0 };
    this.#records.commit(ctx, { key, name, labels, parent, usage });
  }

  async remove(ctx: Context, key: string): Promise<void> {
    const { id } = this.#records.remove(ctx, key);
    const removal = this.#directories.remove(id);
    if (this.#syncRemove) await removal;
  }

  walk(ctx: Context, filters: readonly string[] = []): AsyncIterable<SnapshotInfo> {
    return this.#records.walk(ctx, filters, (info, record) => this.#present(info, record));
  }

  cleanup(): Promise<void> {
    return this.#directories.cleanup();
  }

  /** Waits for removals under way. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#directories[Symbol.asyncDispose]();
  }

  #files(id: number): string {
    return join(this.#directories.path(id), "fs");
  }

  #create(ctx: Context, snapshot: NewSnapshot): Mount[] {
    refuseRemapping(snapshot.labels);
    const record = this.#records.insert(ctx, snapshot, ({ id, parents: [parent], kind }) =>
      this.#directories.create(id, (path) => {
        const files = join(path, "fs");
        mkdirSync(files, { mode: 0o755 });
        if (parent === undefined) {
          chmodSync(files, 0o755); // whatever the umask is
        } else {
          // The root directory of a mount shows what the uppermost layer's has.
          const { uid, gid, mode } = lstatSync(this.#files(parent));
          chownSync(files, uid, gid);
          chmodSync(files, mode & 0o7777);
        }
        if (kind === "active") mkdirSync(join(path, "work"), { mode: 0o711 });
      }),
    );
    return this.#mountsOf(record);
  }

  #mountsOf({ id, kind, parents }: SnapshotRecord): Mount[] {
    const [parent] = parents;
    const access = kind === "active" ? "rw" : "ro";
    if (parent === undefined) return [bind(this.#files(id), access)];
    if (kind === "view" && parents.length === 1) return [bind(this.#files(parent), access)];
    const options = [...this.#options];
    if (kind === "active") {
      options.push(`workdir=${join(this.#directories.path(id), "work")}`, `upperdir=${this.#files(id)}`);
    }
    options.push(`lowerdir=${parents.map((lower) => this.#files(lower)).join(":")}`);
    return [{ type: "overlay", source: "overlay", target: "", options }];
  }

  #present(info: SnapshotInfo, record: () => SnapshotRecord): SnapshotInfo {
    if (!this.#showUpperdir) return info;
    return { ...info, labels: { ...info.labels, [upperdirLabel]: this.#files(record().id) } };
  }
}

/** A bind mount as every snapshotter of plain directories gives it. */
export function bind(source: string, access: "rw" | "ro"): Mount {
  return { type: "bind", source, target: "", options: [access, "rbind"] };
}

/** @throws Unimplemented if the labels ask for other owners of the files than they have */
export function refuseRemapping(labels: Labels = {}): void {
  for (const label of ["containerd.io/snapshot/uidmapping", "containerd.io/snapshot/gidmapping"]) {
    if (labels[label]) throw unimplemented(`label "${label}": this snapshotter does not map user and group ids`);
  }
}

/** Options that this kernel, or the user namespace we are in, asks for. */
function kernelOptions(): string[] {
  const options: string[] = [];
  // With an index, a lower layer that is shared by several mounts is "in use" for all but the first.
  if (existsSync("/sys/module/overlay/parameters/index")) options.push("index=off");
  // The initial user namespace maps every id to itself (user_namespaces(7)); in another one "trusted." attributes can't be set.
  if (!/^\s*0\s+0\s+4294967295\s*$/.test(readFileSync("/proc/self/uid_map", "utf8"))) options.push("userxattr");
  return options;
}
