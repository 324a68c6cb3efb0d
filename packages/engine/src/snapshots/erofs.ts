import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { unknown } from "@hull/errors";
import { startProgram } from "@hull/sys/program";
import type { Context } from "../context.ts";
import { lastWords } from "../last-words.ts";
import type { Mount } from "../mount/index.ts";
import { SnapshotDirectories } from "./directories.ts";
import type { SnapshotOptions, Usage } from "./index.ts";
import { bind, refuseLabels } from "./overlayfs.ts";
import { RecordedSnapshotter } from "./recorded.ts";
import type { NewSnapshot, SnapshotRecord, SnapshotterOptions } from "./records.ts";
import { diskUsage } from "./usage.ts";

export interface ErofsOptions extends SnapshotterOptions {
  /** `mkfs.erofs` of erofs-utils. */
  program: string;
  /** Options for every overlay mount. */
  mountOptions?: readonly string[];
}

/**
 * Snapshots as read-only images of the file system EROFS, `<root>/snapshots/<id>/layer.erofs`, stacked by overlays; an active one's files
 * are in `<id>/fs` until it is committed. Its mounts build on one another: they are the mount manager's to do. Layout and mounts are
 * containerd's.
 */
export class ErofsSnapshotter extends RecordedSnapshotter {
  readonly #directories: SnapshotDirectories;
  readonly #program: string;
  readonly #options: readonly string[];

  constructor({ program, mountOptions = [], ...options }: ErofsOptions) {
    super("erofs", options);
    this.#directories = new SnapshotDirectories(options.root, this.records);
    this.#program = program;
    this.#options = mountOptions;
  }

  override async commit(
    ctx: Context,
    name: string,
    key: string,
    options: SnapshotOptions & { parent?: string } = {},
  ): Promise<void> {
    const { id, kind } = this.records.get(ctx, key);
    if (kind === "active") await this.#convert(id);
    await super.commit(ctx, name, key, options);
    for (const entry of readdirSync(this.#files(id)))
      rmSync(join(this.#files(id), entry), { recursive: true, force: true });
  }

  protected async create(ctx: Context, snapshot: NewSnapshot): Promise<SnapshotRecord> {
    refuseLabels(snapshot.labels);
    return this.records.insert(ctx, snapshot, ({ id, kind, parents: [parent] }) =>
      this.#directories.create(id, (path) => {
        mkdirSync(join(path, "fs"), { mode: 0o755 });
        const looks = parent === undefined ? undefined : lstatSync(this.#files(parent));
        // The root directory of a mount shows what the uppermost layer's has.
        if (looks !== undefined) chownSync(join(path, "fs"), looks.uid, looks.gid);
        chmodSync(join(path, "fs"), (looks?.mode ?? 0o755) & 0o7777);
        if (kind !== "active") return;
        mkdirSync(join(path, "work"), { mode: 0o711 });
        // Tells containerd's tools what this directory becomes.
        writeFileSync(join(path, ".erofslayer"), "");
      }),
    );
  }

  protected async measure(ctx: Context, { id }: SnapshotRecord): Promise<Usage> {
    const image = this.#image(id);
    if (existsSync(image)) return { size: statSync(image).blocks * 512, inodes: 1 };
    return await diskUsage(this.#files(id), ctx.signal);
  }

  protected mountsOf({ id, kind, parents }: SnapshotRecord): Mount[] {
    const [parent] = parents;
    const images = parents.map(
      (one): Mount => ({ type: "erofs", source: this.#image(one), target: "", options: ["ro", "loop"] }),
    );
    if (parent === undefined) return [bind(this.#files(id), kind === "active" ? "rw" : "ro")];
    if (kind !== "active" && images.length === 1) return images;
    const own =
      kind === "active" ? [`workdir=${join(this.#directories.path(id), "work")}`, `upperdir=${this.#files(id)}`] : [];
    const lower = images.length === 1 ? "{{ mount 0 }}" : `{{ overlay 0 ${images.length - 1} }}`;
    const options = [...own, `lowerdir=${lower}`, ...this.#options];
    return [...images, { type: "format/mkdir/overlay", source: "overlay", target: "", options }];
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

  #files(id: number): string {
    return join(this.#directories.path(id), "fs");
  }

  #image(id: number): string {
    return join(this.#directories.path(id), "layer.erofs");
  }

  /** Makes the image of an active snapshot's files. */
  async #convert(id: number): Promise<void> {
    const image = this.#image(id);
    const unfinished = `${image}.new`;
    rmSync(unfinished, { force: true });
    const child = startProgram([this.#program, "--quiet", "-Enoinline_data", unfinished, this.#files(id)], {
      stdio: ["ignore", "ignore", "pipe"],
      env: { LC_ALL: "C" },
    });
    const [words, status] = await Promise.all([lastWords(child.stderr), child.exited]);
    if (status !== 0)
      throw unknown(`failed to convert upper to erofs layer: ${words.split("\n").slice(-3).join("; ")}`);
    renameSync(unfinished, image);
  }
}
