/**
 * The pages of a bbolt database file, decoded where they stand.
 *
 * Everything is little-endian, as on the machines that containerd runs on. A page is `pageSize` bytes, or `overflow` pages more; what it
 * says of its content is checked against its length, since a file may be damaged.
 *
 * Source: go.etcd.io/bbolt, internal/common/page.go and meta.go.
 */

import { invalidArgument } from "@hull/errors";

const magic = 0xed0cdaed;
const version = 2;
const pageHeaderSize = 16;
const elementSize = 16;
/** Bytes of a meta before its checksum. */
const metaSize = 56;
const bucketHeaderSize = 16;

const flags = { branch: 0x01, leaf: 0x02, meta: 0x04 } as const;
/** Of a leaf's element: its value is a bucket. */
const bucketElement = 0x01;

/** What a meta page says of the file. */
export interface Meta {
  /** bytes */
  readonly pageSize: number;
  /** The page of the root bucket's tree. */
  readonly root: number;
  /** Pages in use; none has this number or a higher one. */
  readonly pages: number;
  readonly transaction: bigint;
}

/** A page that refers to others, in the order of their least keys. */
export interface Branch {
  readonly kind: "branch";
  readonly children: readonly number[];
}

/** A page with pairs, in the order of their keys. */
export interface Leaf {
  readonly kind: "leaf";
  readonly entries: readonly Entry[];
}

export interface Entry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly isBucket: boolean;
}

/** Where a bucket's pairs are: a page of the file, or one that is written in the bucket's value. */
export type BucketRoot = { readonly page: number } | { readonly inline: Uint8Array };

/** The meta page that begins at `offset`, undefined if there is none that is whole. */
export function readMeta(file: Uint8Array, offset: number): Meta | undefined {
  const start = offset + pageHeaderSize;
  if (file.length < start + metaSize + 8) return undefined;
  const view = viewOf(file.subarray(start, start + metaSize + 8));
  if (view.getUint32(0, true) !== magic || view.getUint32(4, true) !== version) return undefined;
  if (view.getBigUint64(metaSize, true) !== fnv1a(file.subarray(start, start + metaSize))) return undefined;
  const pageSize = view.getUint32(8, true);
  if (pageSize < 512 || pageSize > 1 << 20 || (pageSize & (pageSize - 1)) !== 0) return undefined;
  return {
    pageSize,
    root: Number(view.getBigUint64(16, true)),
    pages: Number(view.getBigUint64(40, true)),
    transaction: view.getBigUint64(48, true),
  };
}

/** The bytes of page `id`, with those that overflow it. @throws InvalidArgument if they aren't all there */
export function pageBytes(file: Uint8Array, { pageSize, pages }: Meta, id: number): Uint8Array {
  const start = id * pageSize;
  if (id >= pages || start + pageSize > file.length) throw damaged(`page ${id} is behind the end`);
  const overflow = viewOf(file.subarray(start, start + pageHeaderSize)).getUint32(12, true);
  const end = start + (overflow + 1) * pageSize;
  if (end > file.length) throw damaged(`page ${id} goes on behind the end`);
  return file.subarray(start, end);
}

/** A page of a tree. @throws InvalidArgument if it is another one, or damaged */
export function decodePage(page: Uint8Array, what: string): Branch | Leaf {
  if (page.length < pageHeaderSize) throw damaged(`${what} is cut off`);
  const view = viewOf(page);
  const kind = view.getUint16(8, true);
  const count = view.getUint16(10, true);
  if (pageHeaderSize + count * elementSize > page.length)
    throw damaged(`${what} has no room for its ${count} elements`);
  const offsets = Array.from({ length: count }, (_, index) => pageHeaderSize + index * elementSize);
  if (kind === flags.branch) {
    return { kind: "branch", children: offsets.map((at) => Number(view.getBigUint64(at + 8, true))) };
  }
  if (kind !== flags.leaf) throw damaged(`${what} is neither a branch nor a leaf`);
  const entries = offsets.map((at) => {
    const start = at + view.getUint32(at + 4, true);
    const middle = start + view.getUint32(at + 8, true);
    const end = middle + view.getUint32(at + 12, true);
    if (end > page.length) throw damaged(`an element of ${what} goes on behind its end`);
    const isBucket = (view.getUint32(at, true) & bucketElement) !== 0;
    return { key: page.subarray(start, middle), value: page.subarray(middle, end), isBucket };
  });
  return { kind: "leaf", entries };
}

/** Where the pairs of a bucket are, from its value. @throws InvalidArgument */
export function bucketRoot(value: Uint8Array): BucketRoot {
  if (value.length < bucketHeaderSize) throw damaged("a bucket's header is cut off");
  const page = Number(viewOf(value).getBigUint64(0, true));
  return page === 0 ? { inline: value.subarray(bucketHeaderSize) } : { page };
}

export function damaged(how: string): Error {
  return invalidArgument(`the bbolt database is damaged: ${how}`);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** FNV-1a with 64 bits: draft-eastlake-fnv, section 2. */
function fnv1a(bytes: Uint8Array): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash;
}
