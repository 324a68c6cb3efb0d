/**
 * Reading a bbolt database: the file format of containerd's metadata. Only reading; the file is never written to.
 *
 *   BoltDatabase.open(path) ──► root ──bucket(name)──► bucket … ──value(key)──► bytes
 */

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { failedPrecondition } from "@hull/errors";
import { lockOwner, tryLock } from "@hull/sys/lock";
import {
  type BucketRoot,
  bucketRoot,
  damaged,
  decodePage,
  type Entry,
  type Meta,
  pageBytes,
  readMeta,
} from "./page.ts";

/** Deeper trees than this don't come from bbolt: each level has many times the pairs of the one above. */
const maximumDepth = 64;

/** An open database. The file stays locked, as its owner locks it, until it is disposed of. */
export class BoltDatabase implements Disposable {
  readonly root: Bucket;
  readonly #close: () => void;

  private constructor(file: Uint8Array, close: () => void) {
    this.#close = close;
    this.root = new Bucket(file, currentMeta(file), undefined);
  }

  /** @throws FailedPrecondition if another process has it open for writing; InvalidArgument if it is no bbolt database or damaged */
  static open(path: string): BoltDatabase {
    const descriptor = openSync(path, "r");
    try {
      if (!tryLock(descriptor, "shared")) {
        const owner = lockOwner(path);
        throw failedPrecondition(
          `"${path}" is in use${owner === undefined ? "" : ` by process ${owner}`}: stop it first`,
        );
      }
      return new BoltDatabase(readWhole(descriptor), () => closeSync(descriptor));
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
  }

  /** A database whose bytes are in memory. @throws InvalidArgument */
  static of(file: Uint8Array): BoltDatabase {
    return new BoltDatabase(file, () => {});
  }

  [Symbol.dispose](): void {
    this.#close();
  }
}

/** A set of pairs in the order of their keys, some of which are buckets themselves. Damage is met when it is read. */
export class Bucket {
  readonly #file: Uint8Array;
  readonly #meta: Meta;
  readonly #root: BucketRoot;
  #entries: Map<string, Entry> | undefined;

  /** @param value the bucket's value in its parent, undefined for the root */
  constructor(file: Uint8Array, meta: Meta, value: Uint8Array | undefined) {
    this.#file = file;
    this.#meta = meta;
    this.#root = value === undefined ? { page: meta.root } : bucketRoot(value);
  }

  /** The bucket `name` in this one, undefined if there is none. @throws InvalidArgument if the file is damaged */
  bucket(name: string): Bucket | undefined {
    const entry = this.#read().get(name);
    return entry?.isBucket === true ? new Bucket(this.#file, this.#meta, entry.value) : undefined;
  }

  /** The value of `key`, undefined if there is none. @throws InvalidArgument if the file is damaged */
  value(key: string): Uint8Array | undefined {
    const entry = this.#read().get(key);
    return entry?.isBucket === false ? entry.value : undefined;
  }

  /** Names of the buckets in this one. @throws InvalidArgument if the file is damaged */
  *buckets(): Generator<readonly [name: string, bucket: Bucket]> {
    for (const [name, { isBucket, value }] of this.#read()) {
      if (isBucket) yield [name, new Bucket(this.#file, this.#meta, value)];
    }
  }

  /** The pairs that are no buckets. @throws InvalidArgument if the file is damaged */
  *values(): Generator<readonly [key: string, value: Uint8Array]> {
    for (const [key, { isBucket, value }] of this.#read()) if (!isBucket) yield [key, value];
  }

  #read(): Map<string, Entry> {
    if (this.#entries !== undefined) return this.#entries;
    const entries = new Map<string, Entry>();
    const decoder = new TextDecoder();
    for (const entry of this.#walk()) entries.set(decoder.decode(entry.key), entry);
    this.#entries = entries;
    return entries;
  }

  *#walk(): Generator<Entry> {
    if ("inline" in this.#root) {
      const page = decodePage(this.#root.inline, "a bucket's page");
      if (page.kind === "branch") throw damaged("a bucket's page refers to others");
      yield* page.entries;
      return;
    }
    yield* this.#visit(this.#root.page, new Set());
  }

  /** The pairs of a page and of those below it. `seen`: the pages that were visited, since a damaged file may lead in circles. */
  *#visit(id: number, seen: Set<number>, depth = 0): Generator<Entry> {
    if (seen.has(id) || depth > maximumDepth) throw damaged(`page ${id} is in a bucket twice`);
    seen.add(id);
    const page = decodePage(pageBytes(this.#file, this.#meta, id), `page ${id}`);
    if (page.kind === "leaf") yield* page.entries;
    else for (const child of page.children) yield* this.#visit(child, seen, depth + 1);
  }
}

/** The newer of the two metas that is whole: a transaction writes the older one's place, last of all. */
function currentMeta(file: Uint8Array): Meta {
  const first = readMeta(file, 0);
  // The second one's place depends on the size of pages, which only the first tells.
  const sizes = first === undefined ? [4096, 8192, 16384, 32768, 65536] : [first.pageSize];
  const second = sizes.map((size) => readMeta(file, size)).find((meta) => meta !== undefined);
  if (first === undefined && second === undefined) throw damaged("it has no meta page, or is no bbolt database");
  if (first === undefined || second === undefined) return (first ?? second) as Meta;
  return second.transaction > first.transaction ? second : first;
}

function readWhole(descriptor: number): Uint8Array {
  const file = new Uint8Array(fstatSync(descriptor).size);
  for (let at = 0; at < file.length; ) {
    const count = readSync(descriptor, file, at, Math.min(file.length - at, 1 << 26), at);
    if (count === 0) return file.subarray(0, at);
    at += count;
  }
  return file;
}
