/** Writes changes as a layer (OCI image spec, layer.md): a tar in which `.wh.<name>` says that `<name>` is gone. */

import { type BigIntStats, readlinkSync } from "node:fs";
import { failedPrecondition } from "@hull/errors";
import { splitDevice } from "@hull/sys/files";
import { encodeHeader, endOfArchive, paddingAfter, type TarTime, type WritableEntry } from "../tar/index.ts";
import { tarTime } from "../unpacker/copy-up.ts";
import { look } from "../unpacker/disk.ts";
import { baseOf, bytesOf, childOf, display, parentOf } from "../unpacker/paths.ts";
import { type Change, capabilityOf, fill, isLinked, openFile } from "./changes.ts";

/** Bytes of a file in one piece: large enough to be cheap, small enough to be in memory a few times. */
const pieceSize = 1 << 18;

export interface LayerOptions {
  /** The directory that the changes lead to. */
  readonly source: string;
  /** No file is newer in the layer. */
  readonly latest?: TarTime;
}

/**
 * A layer as it is written, change by change, in containerd's form: times in whole seconds, numbers and no names of owners, the
 * directories that lead to a change before it, several names of a file as one file with links to it, no sockets.
 */
export class Layer {
  readonly #source: string;
  readonly #latest: TarTime | undefined;
  /** Names in the layer of files that have several, by their inode. */
  readonly #names = new Map<bigint, string>();
  /** Unchanged names of files of which none is in the layer so far. */
  readonly #waiting = new Map<bigint, string[]>();
  readonly #directories = new Set<string>();

  constructor({ source, latest }: LayerOptions) {
    this.#source = source;
    this.#latest = latest;
  }

  /** The archive's bytes. A piece is valid for as long as one likes. */
  *write(changes: Iterable<Change>): Generator<Uint8Array> {
    for (const change of changes) {
      if (change.kind === "delete") yield* this.#deletion(change.path);
      else yield* this.#file(change.path, change.stat, change.kind === "linked");
    }
    yield endOfArchive;
  }

  *#deletion(path: string): Generator<Uint8Array> {
    yield* this.#parents(path);
    const name = childOf(parentOf(path), `.wh.${baseOf(path)}`);
    yield encodeHeader({ name: bytesOf(name), type: "file", mode: 0 });
  }

  *#file(path: string, stat: BigIntStats, isUnchanged: boolean): Generator<Uint8Array> {
    const entry = this.#entryOf(path, stat);
    if (entry === undefined) return;
    if (!isLinked(stat)) {
      if (!isUnchanged) yield* this.#put(path, entry);
      return;
    }
    const existing = this.#names.get(stat.ino);
    if (existing !== undefined) {
      yield* this.#putLink(path, entry, existing);
      return;
    }
    const waiting = this.#waiting.get(stat.ino) ?? [];
    if (isUnchanged) {
      this.#waiting.set(stat.ino, [...waiting, path]);
      return;
    }
    this.#names.set(stat.ino, path);
    this.#waiting.delete(stat.ino);
    yield* this.#put(path, entry);
    for (const other of waiting) yield* this.#putLink(other, entry, path);
  }

  *#put(path: string, entry: WritableEntry): Generator<Uint8Array> {
    yield* this.#parents(path);
    if (entry.type === "directory") this.#directories.add(path);
    yield encodeHeader(entry);
    if (entry.type === "file" && entry.size !== undefined && entry.size > 0) yield* this.#bytes(path, entry.size);
  }

  *#putLink(path: string, entry: WritableEntry, existing: string): Generator<Uint8Array> {
    yield* this.#parents(path);
    yield encodeHeader({ ...entry, name: bytesOf(path), type: "hardlink", linkName: bytesOf(existing), size: 0 });
  }

  /** A layer says what every directory of its files looks like, changed or not. */
  *#parents(path: string): Generator<Uint8Array> {
    const parent = parentOf(path);
    if (parent === "" || this.#directories.has(parent)) return;
    this.#directories.add(parent);
    const stat = look(childOf(this.#source, parent));
    if (stat === undefined) throw failedPrecondition(`"${display(parent)}" disappeared while it was packed`);
    yield* this.#file(parent, stat, false);
  }

  *#bytes(path: string, size: number): Generator<Uint8Array> {
    using file = openFile(childOf(this.#source, path));
    for (let left = size; left > 0; ) {
      const piece = new Uint8Array(Math.min(left, pieceSize));
      if (fill(file.fd, piece) < piece.length) {
        throw failedPrecondition(`"${display(path)}" got shorter while it was packed`);
      }
      yield piece;
      left -= piece.length;
    }
    yield paddingAfter(size);
  }

  /** Undefined for a socket: nobody listens on one from a layer. */
  #entryOf(path: string, stat: BigIntStats): WritableEntry | undefined {
    const type = typeOf(stat);
    if (type === undefined) return undefined;
    const source = childOf(this.#source, path);
    const capability = capabilityOf(source);
    const isDevice = type === "character" || type === "block";
    const { major, minor } = isDevice ? splitDevice(stat.rdev) : { major: 0, minor: 0 };
    return {
      name: bytesOf(type === "directory" ? `${path}/` : path),
      type,
      mode: Number(stat.mode & 0o7777n),
      uid: Number(stat.uid),
      gid: Number(stat.gid),
      size: type === "file" ? Number(stat.size) : 0,
      mtime: this.#timeOf(stat),
      deviceMajor: major,
      deviceMinor: minor,
      ...(type === "symlink" ? { linkName: readlinkSync(bytesOf(source), { encoding: "buffer" }) } : {}),
      ...(capability === undefined ? {} : { xattrs: new Map([["security.capability", capability]]) }),
    };
  }

  #timeOf({ mtimeNs }: BigIntStats): TarTime {
    const time = tarTime(mtimeNs);
    const { seconds } = this.#latest !== undefined && isAfter(time, this.#latest) ? this.#latest : time;
    return { seconds, nanoseconds: 0 };
  }
}

const isAfter = (a: TarTime, b: TarTime): boolean =>
  a.seconds > b.seconds || (a.seconds === b.seconds && a.nanoseconds > b.nanoseconds);

function typeOf(stat: BigIntStats): WritableEntry["type"] | undefined {
  if (stat.isFile()) return "file";
  if (stat.isDirectory()) return "directory";
  if (stat.isSymbolicLink()) return "symlink";
  if (stat.isCharacterDevice()) return "character";
  if (stat.isBlockDevice()) return "block";
  return stat.isFIFO() ? "fifo" : undefined;
}
