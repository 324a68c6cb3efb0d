import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { type Descriptor, digestOf, hostPlatform, mediaTypes, type Platform } from "@hull/oci";
import { LocalContentStore } from "../content/store.ts";
import { contextFor } from "../context.ts";
import { UnpackerApplier } from "../diff/apply.ts";
import type { Applier } from "../diff/index.ts";
import { encodeHeader, endOfArchive, paddingAfter, type WritableEntry } from "../diff/tar/index.ts";
import type { EventExchange } from "../events/index.ts";
import { SqlImageStore } from "../images/store.ts";
import { SqlLeaseStore } from "../leases/store.ts";
import { Metadata } from "../metadata/index.ts";
import { NativeSnapshotter } from "../snapshots/native.ts";
import { OverlaySnapshotter } from "../snapshots/overlayfs.ts";
import { LocalTransfer } from "./index.ts";

/** The real stores in a directory of their own, and a transfer between them. Removed with it. */
export class TransferFixture implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), "hull-transfer-"));
  readonly metadata = Metadata.open(join(this.directory, "metadata"));
  readonly ctx = contextFor("test");
  readonly content: LocalContentStore;
  readonly images: SqlImageStore;
  readonly leases: SqlLeaseStore;
  readonly overlayfs: OverlaySnapshotter;
  readonly native: NativeSnapshotter;
  readonly transfer: LocalTransfer;
  /** Digests of layers in the order in which their unpacking began, with `rebase` behind those on no parent. */
  readonly applied: string[] = [];

  constructor(events: Pick<EventExchange, "publish"> = { publish: () => undefined }) {
    const common = { metadata: this.metadata, events };
    this.content = new LocalContentStore({ ...common, root: join(this.directory, "content") });
    this.images = new SqlImageStore(common);
    this.leases = new SqlLeaseStore(common);
    this.overlayfs = new OverlaySnapshotter({ ...common, root: join(this.directory, "overlayfs") });
    this.native = new NativeSnapshotter({ ...common, root: join(this.directory, "native") });
    const unpacker = new UnpackerApplier({
      content: this.content,
      command: [process.execPath, join(import.meta.dirname, "..", "diff", "unpacker", "main.ts")],
      temporary: this.directory,
    });
    const applier: Applier = {
      apply: (ctx, descriptor, mounts, options) => {
        this.applied.push(`${descriptor.digest}${options?.rebase === true ? " rebase" : ""}`);
        return unpacker.apply(ctx, descriptor, mounts, options);
      },
    };
    this.transfer = new LocalTransfer({
      content: this.content,
      images: this.images,
      leases: this.leases,
      applier,
      snapshotter: (name) => (name === "native" ? this.native : this.overlayfs),
    });
  }

  async snapshots(): Promise<string[]> {
    const names: string[] = [];
    for (const snapshotter of [this.overlayfs, this.native])
      for await (const { name } of snapshotter.walk(this.ctx)) names.push(name);
    return names;
  }

  async blobs(): Promise<string[]> {
    const digests: string[] = [];
    for await (const { digest } of this.content.walk(this.ctx)) digests.push(digest);
    return digests;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.overlayfs[Symbol.asyncDispose]();
    await this.native[Symbol.asyncDispose]();
    this.metadata[Symbol.dispose]();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** An entry of a test's archive. */
export type Entry = Omit<WritableEntry, "size" | "type" | "name"> & {
  name: string;
  type?: WritableEntry["type"];
  content?: string | Uint8Array;
};

/** A tar archive of these entries. */
export function tar(...entries: Entry[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const { content = "", type = "file", ...entry } of entries) {
    const bytes = Buffer.from(content as Uint8Array);
    parts.push(encodeHeader({ ...entry, type, size: bytes.length }), bytes, paddingAfter(bytes.length));
  }
  return Buffer.concat([...parts, endOfArchive]);
}

/** An image in memory. */
export interface TestImage {
  blobs: Map<string, Uint8Array>;
  manifest: Descriptor;
  config: Descriptor;
  layers: Descriptor[];
  diffIds: string[];
}

/** Builds an image of layers, given as tars; the first is stored as it is, then gzip and zstd by turns. */
export function makeImage(
  layers: readonly Uint8Array[],
  options: { platform?: Platform; diffIds?: readonly string[] } = {},
): TestImage {
  const blobs = new Map<string, Uint8Array>();
  const put = (mediaType: string, bytes: Uint8Array): Descriptor => {
    const digest = digestOf(bytes);
    blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const json = (mediaType: string, value: object) => put(mediaType, Buffer.from(JSON.stringify(value)));
  const descriptors = layers.map((bytes, index) => {
    if (index % 3 === 0) return put(mediaTypes.ociLayer, bytes);
    return index % 3 === 1
      ? put(mediaTypes.ociLayerGzip, gzipSync(bytes))
      : put(mediaTypes.ociLayerZstd, zstdCompressSync(bytes));
  });
  const diffIds = [...(options.diffIds ?? layers.map((bytes) => digestOf(bytes)))];
  const config = json(mediaTypes.ociConfig, {
    ...(options.platform ?? hostPlatform()),
    rootfs: { type: "layers", diff_ids: diffIds },
    config: { Cmd: ["/bin/sh"] },
  });
  const manifest = json(mediaTypes.ociManifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config,
    layers: descriptors,
  });
  return { blobs, manifest, config, layers: descriptors, diffIds };
}

/** Chunks of bytes as a stream would bring them. */
export async function* chunked(bytes: Uint8Array, size = 10_000): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
