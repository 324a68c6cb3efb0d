/**
 * What differs between two trees, in the order of a walk: names by their bytes, a directory before what is in it.
 *
 * The rules are those of containerd's differ (continuity, fs/diff.go): a removed tree is one deletion; a file is the same if mode,
 * owner, device, capabilities, size and time are, and where neither time has a fraction, which archives cut off, if its bytes are too.
 */

import { type BigIntStats, constants, openSync, readlinkSync, readSync } from "node:fs";
import { arch } from "@hull/sys/arch";
import { isErrno } from "@hull/sys/errno";
import { Descriptor } from "@hull/sys/fd";
import { getAttribute } from "@hull/sys/files";
import { isWhiteoutDevice, list, look } from "../unpacker/disk.ts";
import { bytesOf, childOf } from "../unpacker/paths.ts";

/** A path is relative to both trees' roots, one character a byte. */
export type Change =
  | { readonly kind: "add" | "modify"; readonly path: string; readonly stat: BigIntStats }
  /** The file is as it was, and has other names, of which some may be new. */
  | { readonly kind: "linked"; readonly path: string; readonly stat: BigIntStats }
  | { readonly kind: "delete"; readonly path: string };

/** The two trees, as directories. */
export interface Trees {
  readonly left: string;
  readonly right: string;
  /** `right` is an overlay's upper directory: it lacks what did not change, has marks for deletions, and this attribute on what hides. */
  readonly opaque?: string;
}

/** Both names of a directory's child, in order; both may be there. */
interface Pair {
  readonly name: string;
  readonly isLeft: boolean;
  readonly isRight: boolean;
}

/** Walks both trees, and tells what there is to be done to `left` to have `right`. */
export class ChangeWalk {
  readonly #left: string;
  readonly #right: string;
  readonly #opaque: string | undefined;

  constructor({ left, right, opaque }: Trees) {
    this.#left = left;
    this.#right = right;
    this.#opaque = opaque;
  }

  /** All changes. The roots themselves are not compared. */
  changes(): Generator<Change> {
    return this.#directory("", { partial: this.#opaque !== undefined, exists: true });
  }

  /** @param how `partial`: what `right` lacks here is unchanged; `exists`: `left` has this directory, too */
  *#directory(path: string, how: { partial: boolean; exists: boolean }): Generator<Change> {
    const right = list(childOf(this.#right, path)).sort();
    const left = how.exists && !how.partial ? list(childOf(this.#left, path)).sort() : [];
    for (const { name, isLeft, isRight } of merged(left, right)) {
      const child = childOf(path, name);
      const before = isLeft || (how.partial && how.exists) ? look(childOf(this.#left, child)) : undefined;
      const after = isRight ? look(childOf(this.#right, child)) : undefined;
      if (after === undefined || (this.#opaque !== undefined && isWhiteoutDevice(after))) {
        if (before !== undefined) yield { kind: "delete", path: child };
        continue;
      }
      const change = this.#compare(child, before, after);
      if (change !== undefined) yield change;
      if (!after.isDirectory()) continue;
      yield* this.#directory(child, {
        partial: how.partial && !this.#hides(child),
        exists: before?.isDirectory() === true,
      });
    }
  }

  #compare(path: string, before: BigIntStats | undefined, after: BigIntStats): Change | undefined {
    if (before === undefined) return { kind: "add", path, stat: after };
    if (!this.#isSame(path, before, after)) return { kind: "modify", path, stat: after };
    return isLinked(after) ? { kind: "linked", path, stat: after } : undefined;
  }

  #hides(path: string): boolean {
    return this.#opaque !== undefined && attributeOf(childOf(this.#right, path), this.#opaque)?.[0] === 0x79; // "y"
  }

  #isSame(path: string, before: BigIntStats, after: BigIntStats): boolean {
    if (before.dev === after.dev && before.ino === after.ino) return true;
    if (before.mode !== after.mode || before.uid !== after.uid || before.gid !== after.gid) return false;
    if (before.rdev !== after.rdev) return false;
    const [left, right] = [childOf(this.#left, path), childOf(this.#right, path)];
    if (!equal(capabilityOf(left), capabilityOf(right))) return false;
    if (after.isDirectory()) return true;
    if (before.size !== after.size || before.mtimeNs !== after.mtimeNs) return false;
    if (after.mtimeNs % 1_000_000_000n !== 0n) return true;
    if (after.isSymbolicLink()) return equal(targetOf(left), targetOf(right));
    return !after.isFile() || after.size === 0n || hasSameBytes(left, right);
  }
}

/** True for a file, of any kind but a directory, that has several names. */
export function isLinked(stat: BigIntStats): boolean {
  return stat.nlink > 1n && !stat.isDirectory();
}

/** What the file may do beyond its owner's rights; the one extended attribute that layers carry, as with containerd. */
export function capabilityOf(path: string): Uint8Array | undefined {
  return attributeOf(path, "security.capability");
}

function attributeOf(path: string, name: string): Uint8Array | undefined {
  try {
    return getAttribute(bytesOf(path), name);
  } catch (error) {
    if (isErrno(error, "EOPNOTSUPP")) return undefined;
    throw error;
  }
}

function* merged(left: readonly string[], right: readonly string[]): Generator<Pair> {
  let [atLeft, atRight] = [0, 0];
  for (;;) {
    const [before, after] = [left[atLeft], right[atRight]];
    const name = before === undefined || (after !== undefined && after < before) ? after : before;
    if (name === undefined) return;
    const [isLeft, isRight] = [before === name, after === name];
    if (isLeft) atLeft++;
    if (isRight) atRight++;
    yield { name, isLeft, isRight };
  }
}

const equal = (one: Uint8Array | undefined, other: Uint8Array | undefined): boolean =>
  one === undefined || other === undefined ? one === other : Buffer.compare(one, other) === 0;

const targetOf = (path: string): Uint8Array => readlinkSync(bytesOf(path), { encoding: "buffer" });

/** Opens a regular file for reading, and never what a link at its place leads to. */
export function openFile(path: string): Descriptor {
  return new Descriptor(openSync(bytesOf(path), constants.O_RDONLY | arch.O_NOFOLLOW | constants.O_NONBLOCK));
}

const buffers = [new Uint8Array(1 << 17), new Uint8Array(1 << 17)] as const;

function hasSameBytes(left: string, right: string): boolean {
  using one = openFile(left);
  using other = openFile(right);
  for (;;) {
    const [read, readOther] = [fill(one.fd, buffers[0]), fill(other.fd, buffers[1])];
    if (read !== readOther || !equal(buffers[0].subarray(0, read), buffers[1].subarray(0, read))) return false;
    if (read < buffers[0].length) return true;
  }
}

/** Reads until the buffer is full or the file ends. */
export function fill(fd: number, into: Uint8Array): number {
  let filled = 0;
  while (filled < into.length) {
    const count = readSync(fd, into, filled, into.length - filled, null);
    if (count === 0) break;
    filled += count;
  }
  return filled;
}
