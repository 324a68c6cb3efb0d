import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  lchownSync,
  mkdirSync,
  openSync,
  readSync,
  rmSync,
  statfsSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { failedPrecondition, HullError, invalidArgument, isCode } from "@hull/errors";
import { Descriptor, open, openFlags } from "@hull/sys/fd";
import { mountAll, unmountTree } from "@hull/sys/mount";
import { openInside } from "@hull/sys/resolve";
import type { SandboxFile } from "./options.ts";

/** Ids of the host that a sandbox's files belong to. */
export interface HostIds {
  readonly uid: number;
  readonly gid: number;
}

/** How full it is at the end. */
export interface Filling {
  readonly bytes: number;
  readonly full: boolean;
}

/** A file takes at least a page, so that these are more than anyone fills within the bytes. */
const bytesPerInode = 4096;

/**
 * What a sandbox may write to: a file system in memory, of limited size, which this program has mounted in a folder of the sandbox's own.
 *
 *   make (files are put in) ──► mounted in the container as /work and /tmp ──► filling, take (when it has ended) ──► dispose
 */
export class Workspace implements Disposable {
  readonly folder: string;
  readonly work: string;
  readonly temporary: string;
  readonly #fileSystem: string;
  readonly #disk: number;

  /** @throws FailedPrecondition if this program may not mount */
  constructor(id: string, { disk, ids }: { disk: number; ids: HostIds }) {
    this.folder = folderOf(id);
    this.#fileSystem = join(this.folder, "files");
    this.work = join(this.#fileSystem, "work");
    this.temporary = join(this.#fileSystem, "tmp");
    this.#disk = disk;
    mkdirSync(this.folder, { mode: 0o711 });
    try {
      // Whoever is root in the sandbox's user namespace is nobody to the directories above.
      chmodSync(this.folder, 0o711);
      mkdirSync(this.#fileSystem);
      const inodes = Math.max(Math.ceil(disk / bytesPerInode), 64);
      const options = ["nosuid", "nodev", `size=${disk}`, `nr_inodes=${inodes}`, "mode=0755"];
      mountAll([{ type: "tmpfs", source: "hull-sandbox", options }], this.#fileSystem);
      for (const path of [this.work, this.temporary]) {
        mkdirSync(path);
        lchownSync(path, ids.uid, ids.gid);
      }
      chmodSync(this.temporary, 0o1777);
    } catch (error) {
      this[Symbol.dispose]();
      const known = HullError.from(error);
      if (!isCode(known, "permissionDenied")) throw known;
      throw failedPrecondition("a sandbox's files are a file system of their own: run this program as root", {
        cause: error,
      });
    }
  }

  /** Puts files in, before anything runs. @throws InvalidArgument for a path that leads out, or more than fits */
  put(files: Readonly<Record<string, SandboxFile>>, { uid, gid }: HostIds): void {
    for (const [path, file] of Object.entries(files)) {
      const parts = partsOf(path);
      const { content, mode = 0o644 } = typeof file === "object" && "content" in file ? file : { content: file };
      let directory = this.work;
      for (const part of parts.slice(0, -1)) {
        directory = join(directory, part);
        if (mkdirSync(directory, { recursive: true }) !== undefined) lchownSync(directory, uid, gid);
      }
      const fd = openSync(join(directory, parts.at(-1) ?? ""), "wx", mode);
      try {
        writeAll(fd, typeof content === "string" ? new TextEncoder().encode(content) : content);
        fchmodSync(fd, mode & 0o777);
        fchownSync(fd, uid, gid);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
        throw invalidArgument(`file "${path}" doesn't fit: raise the limit "disk" (${this.#disk})`, { cause: error });
      } finally {
        closeSync(fd);
      }
    }
  }

  filling(): Filling {
    const { bsize, blocks, bfree, ffree } = statfsSync(this.#fileSystem);
    return { bytes: (blocks - bfree) * bsize, full: bfree === 0 || ffree === 0 };
  }

  /** Takes files out: those that are regular files, and together no larger than all that may be written. */
  take(paths: readonly string[]): Map<string, Uint8Array> {
    using root = new Descriptor(open(this.work, openFlags.path | openFlags.directory));
    const taken = new Map<string, Uint8Array>();
    let room = this.#disk;
    for (const path of paths) {
      const bytes = readRegular(root.fd, partsOf(path).join("/"), room);
      if (bytes === undefined) continue;
      room -= bytes.length;
      taken.set(path, bytes);
    }
    return taken;
  }

  [Symbol.dispose](): void {
    remove(this.folder);
  }
}

const folderOf = (id: string): string => join(tmpdir(), `hull-sandbox-${id}`);

/** Takes away what a sandbox's folder has, for one whose program is gone. */
export function removeWorkspace(id: string): void {
  remove(folderOf(id));
}

/** With all that is mounted there. */
function remove(folder: string): void {
  unmountTree(folder);
  rmSync(folder, { recursive: true, force: true });
}

/** @throws InvalidArgument */
export function partsOf(path: string): string[] {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (path.startsWith("/") || path.includes("\0") || parts.includes("..") || parts.length === 0)
    throw invalidArgument(`path "${path}" must be one below /work, without "..", as in "src/main.py"`);
  return parts;
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}

/** Whoever filled the directory may have put a link there, a FIFO, or a file of holes as large as they like. */
function readRegular(directory: number, path: string, room: number): Uint8Array | undefined {
  let fd: number;
  try {
    fd = openInside(directory, path, constants.O_RDONLY | constants.O_NONBLOCK, {
      escape: "refuse",
      noLinks: true,
    });
  } catch {
    return undefined;
  }
  using file = new Descriptor(fd);
  const stat = fstatSync(file.fd);
  if (!stat.isFile() || stat.size > room) return undefined;
  const bytes = new Uint8Array(stat.size);
  let at = 0;
  while (at < bytes.length) {
    const count = readSync(file.fd, bytes, at, bytes.length - at, at);
    if (count === 0) break;
    at += count;
  }
  return bytes.subarray(0, at);
}
