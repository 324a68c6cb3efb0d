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
    const { id, kind } = this.#records.get(ctx, key);
    return kind === "active" ? diskUsage(this.#files(id), ctx.signal) : this.#records.committedUsage(ctx, key);
  }

  async mounts(ctx: Context, key: string): Promise<Mount[]> {
    return this.#mountsOf(this.#records.getMountable(ctx, key), mappingOf(this.#records.stat(ctx, key).labels));
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
    const mapping = mappingOf(snapshot.labels);
    const owner = mapping === undefined ? undefined : rootOf(mapping);
    const record = this.#records.insert(ctx, snapshot, ({ id, parents: [parent], kind }) =>
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
      }),
    );
    return this.#mountsOf(record, mapping);
  }

  #mountsOf({ id, kind, parents }: SnapshotRecord, mapping: IdMapping | undefined): Mount[] {
    const [parent] = parents;
    const access = kind === "active" ? "rw" : "ro";
    const mapped =
      mapping === undefined || !this.#mapsIds ? [] : [`uidmap=${mapping.uidmap}`, `gidmap=${mapping.gidmap}`];
    const bound = (files: string): Mount => {
      const mount = bind(files, access);
      return { ...mount, options: [...mapped, ...mount.options] };
    };
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

/** @throws Unimplemented if the labels ask for other owners of the files than they have */
export function refuseRemapping(labels: Labels = {}): void {
  for (const label of mappingLabels) {
    if (labels[label]) throw unimplemented(`label "${label}": this snapshotter does not map user and group ids`);
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
