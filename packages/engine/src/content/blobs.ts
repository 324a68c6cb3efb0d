import { closeSync, fstatSync, mkdirSync, openSync, readSync, renameSync, statSync } from "node:fs";
import { open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { notFound, outOfRange } from "@hull/errors";
import { parseDigest } from "@hull/oci/digest";
import { isErrno } from "@hull/sys/errno";
import type { BlobBytes } from "./bytes.ts";
import { ioError, readFile } from "./io.ts";
import { Pins } from "./pins.ts";

/** Part of a blob, in bytes: from `offset` (0) for `size` (0: to the end). */
export interface ByteRange {
  offset?: number;
  size?: number;
}

/**
 * Up to so many bytes are read in one go where they are asked for: manifests and configs, which clients read a dozen times to start a
 * container, and the pieces in which `ctr content get` reads a blob. They would take longer on their way to a thread and back than the
 * reading takes.
 */
const atOnce = 64 * 1024;

/** @throws OutOfRange if the offset is behind the end */
function rangeOf(total: number, { offset, size }: Required<ByteRange>): { start: number; end: number } {
  const start = Math.max(0, offset);
  if (start > total) throw outOfRange(`read past object length ${total} bytes`);
  return { start, end: size > 0 ? Math.min(total, start + size) : total };
}

/**
 * The committed blobs on disk, of all namespaces: `<root>/blobs/<algorithm>/<hex>`, mode 0444. The layout is containerd's.
 *
 * Who is about to record a blob, or relies on one that it has no record of, pins it: the collector leaves pinned ones alone.
 */
export class BlobFiles implements BlobBytes {
  readonly #root: string;
  /** Whatever is here and no ingest of ours is removed by the next collection: a good place for what is on its way out. */
  readonly #ingests: string;
  readonly #pins = new Pins();

  constructor(root: string) {
    this.#root = join(root, "blobs");
    this.#ingests = join(root, "ingest");
    mkdirSync(join(this.#root, "sha256"), { recursive: true, mode: 0o755 });
  }

  /** Where the blob is or would be. @throws InvalidArgument for a malformed digest */
  path(digest: string): string {
    const { algorithm, hex } = parseDigest(digest);
    return join(this.#root, algorithm, hex);
  }

  /** As `path`; the directory is there. */
  pathToCreate(digest: string): string {
    mkdirSync(join(this.#root, parseDigest(digest).algorithm), { recursive: true, mode: 0o755 });
    return this.path(digest);
  }

  isLost(digest: string): boolean {
    return this.size(digest) === undefined;
  }

  /** Bytes of the blob, undefined if there is none. */
  size(digest: string): number | undefined {
    return statSync(this.path(digest), { throwIfNoEntry: false })?.size;
  }

  /** @throws NotFound; OutOfRange if the offset is behind the end */
  async *read(digest: string, { offset = 0, size = 0 }: ByteRange = {}): AsyncGenerator<Uint8Array> {
    const asked = size > 0 ? size : (this.size(digest) ?? Number.POSITIVE_INFINITY);
    if (asked <= atOnce) {
      const bytes = this.#readAtOnce(digest, { offset, size });
      if (bytes.length > 0) yield bytes;
      return;
    }
    await using file = await open(this.path(digest), "r").catch((error: unknown) => {
      if (isErrno(error, "ENOENT")) throw notFound(`content ${digest}`, { cause: error });
      throw ioError(error, `open content ${digest}`);
    });
    const { start, end } = rangeOf((await file.stat()).size, { offset, size });
    yield* readFile(file, start, end);
  }

  #readAtOnce(digest: string, range: Required<ByteRange>): Uint8Array {
    let descriptor: number | undefined;
    try {
      descriptor = openSync(this.path(digest), "r");
      const { start, end } = rangeOf(fstatSync(descriptor).size, range);
      const bytes = Buffer.allocUnsafeSlow(end - start);
      let filled = 0;
      for (let count = -1; count !== 0 && filled < bytes.length; filled += count) {
        count = readSync(descriptor, bytes, filled, bytes.length - filled, start + filled);
      }
      return bytes.subarray(0, filled);
    } catch (error) {
      if (isErrno(error, "ENOENT")) throw notFound(`content ${digest}`, { cause: error });
      throw ioError(error, `read content ${digest}`);
    } finally {
      if (descriptor !== undefined) closeSync(descriptor);
    }
  }

  /** Keeps the blob's file from the collector until disposed. */
  pin(digest: string): Disposable {
    return this.#pins.pin(digest);
  }

  /**
   * Removes the files of which `isKnown` says no and that nobody has pinned. Gives their number.
   *
   * @param durable waits until the records as they are now are on disk. Otherwise a loss of power could bring back the record of a
   * blob that is gone.
   */
  async collect(isKnown: (digest: string) => boolean, durable: () => Promise<void>): Promise<number> {
    const isOrphan = (digest: string) => !this.#pins.has(digest) && !isKnown(digest);
    const orphans: string[] = [];
    let deadline = performance.now() + 4;
    for (const algorithm of await readdir(this.#root)) {
      for (const hex of await readdir(join(this.#root, algorithm))) {
        if (isOrphan(`${algorithm}:${hex}`)) orphans.push(`${algorithm}:${hex}`);
        if (performance.now() > deadline) {
          await new Promise(setImmediate);
          deadline = performance.now() + 4;
        }
      }
    }
    if (orphans.length === 0) return 0;
    await durable();
    let removed = 0;
    for (const digest of orphans) {
      // Freeing a big file takes the kernel a while: it is renamed here, in the turn of the event loop that asked, so that no record
      // can appear in between, and freed on another thread.
      if (!isOrphan(digest)) continue;
      const doomed = join(this.#ingests, `removed-${digest.replace(":", "-")}`);
      renameSync(this.path(digest), doomed);
      await rm(doomed, { force: true });
      removed++;
    }
    return removed;
  }
}
