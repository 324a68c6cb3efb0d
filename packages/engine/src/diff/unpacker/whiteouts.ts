/**
 * Deletions in a layer (OCI image spec, layer.md, "Whiteouts"): an empty file `.wh.<name>` says that `<name>` is gone,
 * `.wh..wh..opq` that everything below its directory is. They concern what lies below the layer, never the layer's own files,
 * whatever the order of entries.
 */

import { invalidArgument } from "@hull/errors";
import { SysError } from "@hull/sys/errno";
import { setAttribute } from "@hull/sys/files";
import { createNode, setOwner } from "./calls.ts";
import { list, look, removeAll, removeAllBut, resolve } from "./disk.ts";
import { baseOf, bytesOf, childOf, display, parentOf } from "./paths.ts";

const prefix = ".wh.";
/** AUFS's own files, which no other file system has a use for. */
const metaPrefix = ".wh..wh.";
const opaqueName = ".wh..wh..opq";

const S_IFCHR = 0o020000;

/** What an entry's path means. */
export type Meaning =
  | { readonly kind: "file" }
  | { readonly kind: "ignored" }
  | { readonly kind: "deleted"; readonly path: string }
  | { readonly kind: "opaque"; readonly directory: string };

const file: Meaning = { kind: "file" };
const ignored: Meaning = { kind: "ignored" };

/** Tells a deletion by its path. @throws invalidArgument for one that names no file of its directory */
export function meaningOf(path: string): Meaning {
  if (!path.includes(prefix)) return file;
  const base = baseOf(path);
  if (base === opaqueName) return { kind: "opaque", directory: parentOf(path) };
  if (path.split("/").some((part) => part.startsWith(metaPrefix))) return ignored;
  if (!base.startsWith(prefix)) return file;
  const name = base.slice(prefix.length);
  if (name === "" || name === "." || name === "..")
    throw invalidArgument(`the whiteout "${display(path)}" names no file`);
  return { kind: "deleted", path: childOf(parentOf(path), name) };
}

/** How deletions are carried out, and the layer's own files known from those that were there. */
export interface Whiteouts {
  /** Deletions are kept as marks (devices 0:0), which other entries may replace. */
  readonly marks: boolean;
  /** The file that lies below `path` is gone. */
  remove(path: string, uid: number, gid: number): void;
  /** Everything below `directory`, which exists, is gone. */
  clear(directory: string): void;
  /** The layer has made `path`. */
  made(path: string): void;
  /** Takes away what is at `path`, to make room for an entry. */
  replace(path: string): void;
  /** The directory `path` shows nothing of what is below the layer. */
  hide(path: string): void;
}

/** Remembers what the layer made. In a target that was empty everything is the layer's, so nothing need be remembered. */
export class MadePaths {
  readonly #paths = new Set<string>();
  /** Links are followed once for each directory. */
  readonly #parents = new Map<string, string>();
  readonly #everything: boolean;

  constructor() {
    this.#everything = list("").length === 0;
  }

  add(path: string): void {
    if (!this.#everything) this.#paths.add(this.#canonical(path));
  }

  has(path: string): boolean {
    return this.#everything || this.#paths.has(this.#canonical(path));
  }

  /** A file went away or a link came: directories may be others than they were. */
  forgetParents(): void {
    this.#parents.clear();
  }

  #canonical(path: string): string {
    const parent = parentOf(path);
    let directory = this.#parents.get(parent);
    if (directory === undefined) {
      directory = resolve(parent);
      this.#parents.set(parent, directory);
    }
    return childOf(directory, baseOf(path));
  }
}

/** Deletes: for a target that holds the layers below. */
export class PlainWhiteouts implements Whiteouts {
  readonly marks = false;
  readonly #made = new MadePaths();

  remove(path: string): void {
    removeAllBut(path, (one) => this.#made.has(one));
    this.#made.forgetParents();
  }

  clear(directory: string): void {
    for (const name of list(directory)) removeAllBut(childOf(directory, name), (one) => this.#made.has(one));
    this.#made.forgetParents();
  }

  made(path: string): void {
    this.#made.add(path);
  }

  replace(path: string): void {
    removeAll(path);
    this.#made.forgetParents();
  }

  /** What is below is in the same directory, and gone. */
  hide(): void {}
}

/** Writes deletions down as overlayfs keeps them (kernel, Documentation/filesystems/overlayfs.rst): device 0:0, attribute. */
export class OverlayWhiteouts implements Whiteouts {
  readonly marks = true;
  readonly #made = new MadePaths();
  readonly #opaque: string;

  /** @param opaque the name of the attribute: `trusted.overlay.opaque`, or `user.…` for mounts with "userxattr" */
  constructor(opaque: string) {
    this.#opaque = opaque;
  }

  remove(path: string, uid: number, gid: number): void {
    removeAllBut(path, (one) => this.#made.has(one));
    this.#made.forgetParents();
    const stat = look(path);
    if (stat === undefined) {
      const result = createNode(path, S_IFCHR, 0, 0n);
      if (result < 0) throw new SysError(-result, "mknod", `whiteout "${display(path)}"`);
      if (uid !== 0 || gid !== 0) setOwner(path, uid, gid);
      this.#made.add(path);
    } else if (stat.isDirectory()) {
      this.hide(path);
    }
  }

  clear(directory: string): void {
    for (const name of list(directory)) removeAllBut(childOf(directory, name), (one) => this.#made.has(one));
    this.#made.forgetParents();
    this.hide(directory);
  }

  made(path: string): void {
    this.#made.add(path);
  }

  replace(path: string): void {
    removeAll(path);
    this.#made.forgetParents();
  }

  hide(path: string): void {
    setAttribute(bytesOf(path), this.#opaque, Buffer.from("y"));
  }
}
