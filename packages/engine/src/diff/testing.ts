/** What the tests of this folder share: layers made entry by entry, and an applier on directories that go away again. */

import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getAttribute, listAttributes } from "@hull/sys/files";
import { contextFor } from "../context.ts";
import type { Mount } from "../mount/index.ts";
import { UnpackerApplier } from "./apply.ts";
import type { ApplyOptions } from "./index.ts";
import { encodeHeader, endOfArchive, paddingAfter, type WritableEntry } from "./tar/index.ts";

/** An entry for a test: a name and what it differs in. Files have content. */
export type TestEntry = Omit<WritableEntry, "size" | "type"> & {
  readonly type?: WritableEntry["type"];
  readonly content?: string | Uint8Array;
};

/** The archive of these entries. */
export function layerOf(...entries: TestEntry[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const { content = "", type = "file", ...entry } of entries) {
    const bytes = Buffer.from(content);
    parts.push(encodeHeader({ ...entry, type, size: bytes.length }), bytes, paddingAfter(bytes.length));
  }
  return Buffer.concat([...parts, endOfArchive]);
}

/** The unpacker as it is run from source. */
export const unpackerCommand = [process.execPath, join(import.meta.dirname, "unpacker", "main.ts")];

/** A directory for a test, with an applier. */
export class Bench implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "hull-diff-"));
  #count = 0;
  readonly applier = new UnpackerApplier({
    command: unpackerCommand,
    content: { path: async (_, digest) => join(this.path, digest) },
    temporary: this.path,
  });

  /** A directory of its own. */
  directory(): string {
    const path = join(this.path, `directory-${this.#count++}`);
    mkdirSync(path);
    return path;
  }

  /** Applies layers, one after the other, onto mounts. Gives the last one's diffID. */
  async apply(
    mounts: readonly Mount[],
    layer: Uint8Array,
    options: ApplyOptions & { signal?: AbortSignal } = {},
  ): Promise<string> {
    const digest = `sha256:layer-${this.#count++}`;
    writeFileSync(join(this.path, digest), layer);
    const descriptor = { mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest, size: layer.length };
    const applied = await this.applier.apply(
      contextFor("test", { signal: options.signal }),
      descriptor,
      mounts,
      options,
    );
    return applied.digest;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export function bind(directory: string): Mount[] {
  return [{ type: "bind", source: directory, target: "", options: ["rw", "rbind"] }];
}

export function overlay(upper: string, work: string, lower: readonly string[]): Mount[] {
  const options = [`workdir=${work}`, `upperdir=${upper}`, `lowerdir=${lower.join(":")}`];
  return [{ type: "overlay", source: "overlay", target: "", options }];
}

/** All there is to know of the files of a tree, but for what differs between any two: one line a file, without the root. */
export function describeTree(root: string): string[] {
  const lines: string[] = [];
  const firstNames = new Map<bigint, string>();
  const visit = (directory: string) => {
    for (const name of readdirSync(join(root, directory)).sort()) {
      const path = join(directory, name);
      const full = join(root, path);
      const stat = lstatSync(full, { bigint: true });
      const first = firstNames.get(stat.ino) ?? path;
      firstNames.set(stat.ino, first);
      const attributes = listAttributes(full)
        .sort()
        .map((key) => `${key}=${Buffer.from(getAttribute(full, key) ?? "").toString("base64")}`);
      const kind = stat.isFile() ? hashOf(full) : stat.isSymbolicLink() ? `-> ${readlinkSync(full)}` : "";
      const size = stat.isDirectory() ? "" : `size ${stat.size} blocks ${stat.isFile() ? stat.blocks : ""}`;
      const links = stat.isDirectory() ? "" : `links ${stat.nlink} ${first}`;
      lines.push(
        `${path} ${stat.mode.toString(8)} ${stat.uid}:${stat.gid} ${stat.mtimeNs} ${stat.rdev} ${size} ${links} ${kind} ${attributes}`,
      );
      if (stat.isDirectory()) visit(path);
    }
  };
  visit("");
  return lines;
}

function hashOf(path: string): string {
  return new Bun.CryptoHasher("sha256").update(readFileSync(path)).digest("hex").slice(0, 16);
}
