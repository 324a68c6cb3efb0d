import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { HullError, internal, isCode, unimplemented } from "@hull/errors";
import type { Descriptor } from "@hull/oci/descriptor";
import { mountAll, unmountAll } from "@hull/sys/mount";
import { startProgram } from "@hull/sys/program";
import type { ContentStore, ContentWriter } from "../content/index.ts";
import type { Context } from "../context.ts";
import { lastWords } from "../last-words.ts";
import { type Mount, readOnlyMounts } from "../mount/index.ts";
import type { MountManager } from "../mount/manager/index.ts";
import { lendMounts } from "../mount/manager/lend.ts";
import type { CompareOptions, Comparer } from "./index.ts";
import type { Outcome } from "./outcome.ts";
import { type PackCompression, parsePackOutcome, toPackArguments } from "./packer/protocol.ts";
import { Slots } from "./slots.ts";
import { overlayParts } from "./target.ts";
import { tarTime } from "./unpacker/copy-up.ts";

/** What a `PackerComparer` works with. */
export interface PackerOptions {
  readonly content: Pick<ContentStore, "writer" | "abort" | "info" | "update">;
  /** The command that is the packer (see `packer/main.ts`); its options are put behind. */
  readonly command: readonly string[];
  /** Layers that are packed at the same time; others wait. Default: one for each processor. */
  readonly concurrency?: number;
  /** Directory for temporary mount points. Default: the system's. */
  readonly temporary?: string;
  /** For mounts that the system alone can't do. */
  readonly mounts?: MountManager;
}

/** Media types of layers that can be made (OCI image spec, media-types.md); containerd's differ makes no others. */
const compressions: Readonly<Record<string, PackCompression>> = {
  "application/vnd.oci.image.layer.v1.tar": "none",
  "application/vnd.oci.image.layer.v1.tar+gzip": "gzip",
  "application/vnd.oci.image.layer.v1.tar+zstd": "zstd",
};

const defaultMediaType = "application/vnd.oci.image.layer.v1.tar+gzip";
const uncompressedLabel = "containerd.io/uncompressed";

/** Most of the packer's standard error that a message quotes, in characters. */
const quotedError = 2000;

/** Makes each layer in a packer process of its own, as many at a time as there are processors. */
export class PackerComparer implements Comparer {
  readonly #content: PackerOptions["content"];
  readonly #command: readonly string[];
  readonly #slots: Slots;
  readonly #temporary: string;
  readonly #mounts: MountManager | undefined;

  constructor({ content, command, concurrency = availableParallelism(), temporary = tmpdir(), mounts }: PackerOptions) {
    this.#content = content;
    this.#mounts = mounts;
    this.#command = command;
    this.#slots = new Slots(concurrency);
    this.#temporary = temporary;
  }

  async compare(
    ctx: Context,
    left: readonly Mount[],
    right: readonly Mount[],
    options: CompareOptions = {},
  ): Promise<Descriptor> {
    const mediaType = options.mediaType || defaultMediaType;
    const compression = compressions[mediaType];
    if (compression === undefined) throw unimplemented(`unsupported diff media type: ${mediaType}`);
    using _ = await this.#slots.take(ctx.signal);
    await using before = await lendMounts(this.#mounts, ctx, left);
    await using after = await lendMounts(this.#mounts, ctx, right);
    using trees = mountTrees(before.mounts, after.mounts, this.#temporary);
    const latest = options.sourceDateEpoch === undefined ? undefined : tarTime(options.sourceDateEpoch);
    const request = { root: trees.root, opaque: trees.opaque, compression, latest };
    const { digest, size } = await this.#ingest(ctx, options, compression, toPackArguments(request));
    return { mediaType, digest, size };
  }

  async #ingest(
    ctx: Context,
    options: CompareOptions,
    compression: PackCompression,
    args: readonly string[],
  ): Promise<{ digest: string; size: number }> {
    const ref = options.ref || `${process.hrtime.bigint()}-${randomBytes(6).toString("hex")}`;
    const writer = await this.#content.writer(ctx, ref);
    try {
      if (writer.offset > 0) await writer.truncate(0);
      const { diffId } = await this.#run(ctx, writer, args);
      const digest = writer.digest();
      const labels = compression === "none" ? options.labels : { ...options.labels, [uncompressedLabel]: diffId };
      await writer.commit({ expected: digest, labels }).catch((error: unknown) => {
        if (!isCode(error, "alreadyExists")) throw error;
      });
      const info = await this.#content.info(ctx, digest);
      if (compression !== "none" && info.labels[uncompressedLabel] === undefined) {
        await this.#content.update(ctx, digest, { [uncompressedLabel]: diffId }, [`labels.${uncompressedLabel}`]);
      }
      return { digest, size: info.size };
    } catch (error) {
      await writer.close();
      // Nobody else knows it.
      if (!options.ref) await this.#content.abort(ctx, ref).catch(() => undefined);
      throw error;
    } finally {
      await writer.close();
    }
  }

  /** Runs a packer to its end; when the context is aborted, it is killed first. */
  async #run(
    ctx: Context,
    writer: ContentWriter,
    args: readonly string[],
  ): Promise<Exclude<Outcome, { error: unknown }>> {
    if (ctx.signal.aborted) throw HullError.from(ctx.signal.reason);
    // No environment: nothing in the daemon's is meant for a process that reads strangers' files.
    const child = startProgram([...this.#command, ...args], { stdio: ["ignore", "pipe", "pipe"], env: {} });
    const kill = () => child.kill("SIGKILL");
    ctx.signal.addEventListener("abort", kill);
    try {
      const said = lastWords(child.stderr);
      for await (const piece of child.stdout) await writer.write(piece);
      await child.exited;
      if (ctx.signal.aborted) throw HullError.from(ctx.signal.reason);
      const outcome = parsePackOutcome(await said);
      if (outcome === undefined) {
        const how = child.signalCode === null ? `status ${child.exitCode}` : child.signalCode;
        throw internal(`the packer ended with ${how} and no result: ${(await said).slice(-quotedError)}`);
      }
      if ("error" in outcome) {
        throw new HullError(outcome.error.code, `failed to write diff: ${outcome.error.message}`);
      }
      return outcome;
    } finally {
      ctx.signal.removeEventListener("abort", kill);
      kill();
      await child.exited;
    }
  }
}

/** Both trees below one directory, as `left` and `right`, for as long as the scope lasts. */
interface MountedTrees extends Disposable {
  readonly root: string;
  /** See `PackRequest`. */
  readonly opaque: string | undefined;
}

function mountTrees(left: readonly Mount[], right: readonly Mount[], temporary: string): MountedTrees {
  using scope = new DisposableStack();
  const root = mkdtempSync(join(temporary, "hull-diff-"));
  scope.defer(() => rmdirSync(root));
  const mountAt = (name: string, mounts: readonly Mount[]) => {
    const path = join(root, name);
    mkdirSync(path, { mode: 0o700 });
    scope.defer(() => rmdirSync(path));
    if (mounts.length === 0) return;
    mountAll(mounts, path);
    scope.defer(() => unmountAll(path));
  };
  mountAt("left", readOnlyMounts(left));
  const top = topLayer(left, right);
  mountAt("right", top === undefined ? readOnlyMounts(right) : [top.mount]);
  const owned = scope.move();
  return { root, opaque: top?.opaque, [Symbol.dispose]: () => owned.dispose() };
}

/** The one layer that an overlay has more than `left`, as a mount: to look at that alone is enough, and much less than all of the files. */
function topLayer(left: readonly Mount[], right: readonly Mount[]): { mount: Mount; opaque: string } | undefined {
  const [only, ...others] = right;
  if (only === undefined || others.length > 0 || only.type !== "overlay" || only.target !== "") return undefined;
  if (only.options.some((option) => /^[ug]idmap=/.test(option))) return undefined;
  const { userAttributes, isPlain } = overlayParts(only);
  const [top, ...rest] = layersOf(right) ?? [];
  const below = layersOf(left);
  if (!isPlain || kernelMovesDirectories() || top === undefined || rest.length === 0) return undefined;
  if (below?.length !== rest.length || below.some((layer, index) => layer !== rest[index])) return undefined;
  return {
    mount: { type: "bind", source: top, target: "", options: ["bind", "ro"] },
    opaque: userAttributes ? "user.overlay.opaque" : "trusted.overlay.opaque",
  };
}

/** The directories that mounts are made of, the topmost first; undefined if they are something else. */
function layersOf(mounts: readonly Mount[]): readonly string[] | undefined {
  const [mount, ...others] = mounts;
  if (mount === undefined || others.length > 0 || mount.target !== "") return undefined;
  if (mount.type === "overlay") {
    const { upper, lower } = overlayParts(mount);
    return upper === undefined ? lower : [upper, ...lower];
  }
  return mount.options.some((option) => option === "bind" || option === "rbind") ? [mount.source] : undefined;
}

/** Whether upper directories hold, by the kernel's own defaults, more than files: moved directories, files without their bytes. */
function kernelMovesDirectories(): boolean {
  return ["redirect_dir", "metacopy"].some((name) => {
    const file = `/sys/module/overlay/parameters/${name}`;
    return existsSync(file) && readFileSync(file, "utf8").startsWith("Y");
  });
}
