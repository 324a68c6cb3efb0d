import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { invalidArgument, unimplemented } from "@hull/errors";
import { type IdMapping, mappedId, parseIdRanges } from "@hull/sys/mount-idmap";
import type { Context } from "../context.ts";
import type { Labels } from "../labels.ts";
import type { Mount } from "../mount/index.ts";
import { SnapshotDirectories } from "./directories.ts";
import type { SnapshotInfo, SnapshotOptions, Snapshotter, Usage } from "./index.ts";
import { limitedMounts, limitOf, type RootLooks, sizeLabel, takeOut } from "./limited.ts";
import { type NewSnapshot, type SnapshotRecord, SnapshotRecords, type SnapshotterOptions } from "./records.ts";
import { diskUsage } from "./usage.ts";

export interface OverlayOptions extends SnapshotterOptions {
  /** Show where the changed files of a snapshot are: label `containerd.io/snapshot/overlay.upperdir`. */
  upperdirLabel?: boolean;
  /** Wait in `remove` until the files are gone. */
  syncRemove?: boolean;
  /** Options for every overlay mount, e.g. `volatile`. */
  mountOptions?: readonly string[];
  /** The kernel can show files with mapped ids. Default: found out. */
  mapsIds?: boolean;
}

const upperdirLabel = "containerd.io/snapshot/overlay.upperdir";

/**
 * Snapshots as layers of the kernel's overlay file system: `<root>/snapshots/<id>/{fs,work}`. A snapshot's own files are in `fs`; a mount
 * stacks those of its parents below. Directory layout and mounts are containerd's.
 */
export class OverlaySnapshotter implements Snapshotter, AsyncDisposable {
  readonly name = "overlayfs";
  readonly capabilities: readonly string[];
  readonly #records: SnapshotRecords;
  readonly #directories: SnapshotDirectories;
  readonly #showUpperdir: boolean;
  readonly #syncRemove: boolean;
  readonly #options: readonly string[];
  readonly #mapsIds: boolean;

  constructor(options: OverlayOptions) {
    this.#records = new SnapshotRecords(this.name, options);
    this.#directories = new SnapshotDirectories(options.root, this.#records);
    this.#showUpperdir = options.upperdirLabel ?? false;
    this.#syncRemove = options.syncRemove ?? false;
    this.#options = [...kernelOptions(), ...(options.mountOptions ?? [])];
    this.#mapsIds = options.mapsIds ?? kernelMapsIds();
    this.capabilities = [...(this.#mapsIds ? ["remap-ids"] : []), "rebase"];
  }

  async stat(ctx: Context, key: string): Promise<SnapshotInfo> {
    return this.#present(this.#records.stat(ctx, key), () => this.#records.get(ctx, key));
  }

  async update(ctx: Context, key: string, labels: Labels, fieldpaths: readonly string[] = []): Promise<SnapshotInfo> {
    return this.#present(this.#records.update(ctx, key, labels, fieldpaths), () => this.#records.get(ctx, key));
  }

  async usage(ctx: Context, key: string): Promise<Usage> {
    const { id, kind } = this.#records.place(ctx, key);
    if (kind !== "active") return this.#records.committedUsage(ctx, key);
    const usage = await diskUsage(this.#files(id), ctx.signal);
    const image = lstatSync(this.#image(id), { throwIfNoEntry: false });
    return image === undefined ? usage : { size: usage.size + image.blocks * 512, inodes: usage.inodes + 1 };
  }

  async mounts(ctx: Context, key: string): Promise<Mount[]> {
    const record = this.#records.getMountable(ctx, key);
    const { labels } = this.#records.stat(ctx, key);
    this.#remakeIfLost(record, mappingOf(labels));
    return this.#mountsOf(record, labels);
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
    if (kind === "active") await takeOut(this.#image(id), this.#files(id), ctx.signal);
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

  /** The file system of a limited size that an active snapshot's own files are in, if it has one. */
  #image(id: number): string {
    return join(this.#directories.path(id), "rwlayer.img");
  }

  /** What the root directory of a snapshot is to look like. */
  #rootOf(id: number): RootLooks {
    const { mode, uid, gid } = lstatSync(this.#files(id));
    return { mode: mode & 0o777, uid, gid };
  }

  #files(id: number): string {
    return join(this.#directories.path(id), "fs");
  }

  #create(ctx: Context, snapshot: NewSnapshot): Mount[] {
    const mapping = mappingOf(snapshot.labels);
    const record = this.#records.insert(ctx, snapshot, (inserted) => this.#makeDirectory(inserted, mapping));
    return this.#mountsOf(record, snapshot.labels);
  }

  #makeDirectory({ id, parents: [parent], kind }: SnapshotRecord, mapping: IdMapping | undefined): void {
    const owner = mapping === undefined ? undefined : rootOf(mapping);
    this.#directories.create(id, (path) => {
      const files = join(path, "fs");
      mkdirSync(files, { mode: 0o755 });
      if (owner !== undefined) {
        // What a container makes belongs to the ids that its own are mapped to, so its root directory has to as well.
        chownSync(files, owner.uid, owner.gid);
        chmodSync(files, parent === undefined ? 0o755 : lstatSync(this.#files(parent)).mode & 0o7777);
      } else if (parent === undefined) {
        chmodSync(files, 0o755); // whatever the umask is
      } else {
        // The root directory of a mount shows what the uppermost layer's has.
        const { uid, gid, mode } = lstatSync(this.#files(parent));
        chownSync(files, uid, gid);
        chmodSync(files, mode & 0o7777);
      }
      if (kind === "active") mkdirSync(join(path, "work"), { mode: 0o711 });
    });
  }

  /** A loss of power takes the directories that are not on disk yet, though their records are: nothing was in them that is left. */
  #remakeIfLost(record: SnapshotRecord, mapping: IdMapping | undefined): void {
    if (record.kind === "active" && !existsSync(this.#files(record.id))) this.#makeDirectory(record, mapping);
  }

  #mountsOf(record: SnapshotRecord, labels: Labels = {}): Mount[] {
    const { id, kind, parents } = record;
    const [parent] = parents;
    const mapping = mappingOf(labels);
    const limit = kind === "active" ? limitOf(labels) : undefined;
    const access = kind === "active" ? "rw" : "ro";
    const mapped =
      mapping === undefined || !this.#mapsIds ? [] : [`uidmap=${mapping.uidmap}`, `gidmap=${mapping.gidmap}`];
    const bound = (files: string): Mount => {
      const mount = bind(files, access);
      return { ...mount, options: [...mapped, ...mount.options] };
    };
    if (limit !== undefined)
      return limitedMounts(
        this.#image(id),
        limit,
        this.#rootOf(id),
        parent === undefined
          ? undefined
          : [...mapped, ...this.#options, `lowerdir=${parents.map((lower) => this.#files(lower)).join(":")}`],
      );
    if (parent === undefined) return [bound(this.#files(id))];
    if (kind === "view" && parents.length === 1) return [bound(this.#files(parent))];
    const options = [...mapped, ...this.#options];
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

const mappingLabels = ["containerd.io/snapshot/uidmapping", "containerd.io/snapshot/gidmapping"] as const;

/** For snapshotters that can do neither. @throws Unimplemented if the labels ask for other owners of the files, or a limit of size */
export function refuseLabels(labels: Labels = {}): void {
  for (const label of mappingLabels) {
    if (labels[label]) throw unimplemented(`label "${label}": this snapshotter does not map user and group ids`);
  }
  if (limitOf(labels) !== undefined) {
    throw unimplemented(`label "${sizeLabel}": this snapshotter does not limit sizes, use overlayfs`);
  }
}

/** The mapping that a snapshot's labels ask for. @throws InvalidArgument if one stands without the other */
function mappingOf(labels: Labels = {}): IdMapping | undefined {
  const [uids, gids] = mappingLabels;
  const { [uids]: uidmap = "", [gids]: gidmap = "" } = labels;
  if (uidmap === "" && gidmap === "") return undefined;
  if (uidmap === "" || gidmap === "") {
    throw invalidArgument(`failed to unmarshal snapshot ID mapped labels: "${uids}" and "${gids}" go together`);
  }
  return { uidmap, gidmap };
}

/** Who a container's root is outside. @throws InvalidArgument for a mapping that is none */
function rootOf({ uidmap, gidmap }: IdMapping): { uid: number; gid: number } {
  return { uid: mappedId(parseIdRanges(uidmap), 0), gid: mappedId(parseIdRanges(gidmap), 0) };
}

/** Linux 5.19: overlays on top of mounts with mapped ids. */
function kernelMapsIds(): boolean {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  return process.getuid?.() === 0 && (major > 5 || (major === 5 && minor >= 19));
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
