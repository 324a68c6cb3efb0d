import { type BigIntStats, ftruncateSync, mkdirSync, statSync, symlinkSync, unlinkSync } from "node:fs";
import { failedPrecondition, HullError, invalidArgument, unimplemented } from "@hull/errors";
import { errno, isErrno, SysError } from "@hull/sys/errno";
import { close } from "@hull/sys/fd";
import { makeDevice } from "@hull/sys/files";
import { type TarEntry, type TarSink, text } from "../tar/index.ts";
import { passesOn, setAttributes, setEntryTimes } from "./attributes.ts";
import { createFile, createLink, createNode, moveTo, writeAll } from "./calls.ts";
import { copyAttributes, copyFile, tarTime } from "./copy-up.ts";
import { isWhiteoutDevice, look, resolve } from "./disk.ts";
import { toHullError } from "./failures.ts";
import type { LowerLayers } from "./lower.ts";
import { bytesOf, childOf, cleanPath, display, parentOf } from "./paths.ts";
import { meaningOf, type Whiteouts } from "./whiteouts.ts";

const nodeTypes = { character: 0o020000, block: 0o060000, fifo: 0o010000 } as const;

type NodeType = keyof typeof nodeTypes;

/** Tries to make something: a descriptor or 0, or a negative error number. */
type Attempt = () => number;

type Times = Pick<TarEntry, "mtime" | "atime">;

/** What a tree needs to know of its target. */
export interface TreeOptions {
  readonly whiteouts: Whiteouts;
  /** Layers below, if they are not in the target itself. */
  readonly lower?: LowerLayers;
  /** Whether devices can be made: not in a user namespace. */
  readonly devices: boolean;
}

/**
 * Makes the files of a layer in the current directory, which is the process's root.
 *
 * Each entry is made in the way that succeeds when nothing is in its way; only what that meets (a parent is missing, another
 * file is there) is looked at. Directories get their times at the end, in `close`, since every file made in them changes those.
 */
export class Tree implements TarSink {
  readonly #whiteouts: Whiteouts;
  readonly #lower: LowerLayers | undefined;
  readonly #devices: boolean;
  readonly #directoryTimes = new Map<string, Times>();
  /** Some directory passes its group or ACL on to what is made in it. */
  #inherits = false;

  #entry: TarEntry | undefined;
  #path = "";
  #fd = -1;
  /** Where the next byte goes without moving. */
  #offset = 0;

  constructor({ whiteouts, lower, devices }: TreeOptions) {
    this.#whiteouts = whiteouts;
    this.#lower = lower;
    this.#devices = devices;
    const root = look("");
    this.#inherits = root === undefined || root.gid !== 0n || (root.mode & 0o2000n) !== 0n;
  }

  entry(entry: TarEntry): void {
    this.#entry = entry;
    this.#named(entry, () => {
      this.#path = cleanPath(entry.name);
      const meaning = meaningOf(this.#path);
      switch (meaning.kind) {
        case "ignored":
          break;
        case "deleted":
          if (look(parentOf(meaning.path))?.isDirectory() !== true) this.#makeParents(meaning.path);
          this.#whiteouts.remove(meaning.path, entry.uid, entry.gid);
          break;
        case "opaque":
          this.#makeParents(childOf(meaning.directory, "x"));
          this.#whiteouts.clear(meaning.directory);
          if (meaning.directory === "" && this.#whiteouts.marks) this.#hideRoot();
          break;
        case "file":
          this.#make(entry);
      }
    });
  }

  data(bytes: Uint8Array, offset: number): void {
    if (this.#fd === -1) return;
    if (offset !== this.#offset) moveTo(this.#fd, offset, this.#path);
    writeAll(this.#fd, bytes, this.#path);
    this.#offset = offset + bytes.length;
  }

  finish(): void {
    const entry = this.#entry;
    if (entry === undefined || this.#fd === -1) return;
    this.#named(entry, () => {
      if (entry.sparse) ftruncateSync(this.#fd, entry.size);
      setAttributes(this.#path, entry, { inherits: this.#inherits, hasMode: true });
      setEntryTimes(this.#path, entry);
    });
    close(this.#fd);
    this.#fd = -1;
  }

  /** Does what has to wait for the last entry. */
  close(): void {
    for (const [path, times] of this.#directoryTimes) setEntryTimes(path, times);
  }

  /** Lets a failure say which entry it befell. */
  #named(entry: TarEntry, work: () => void): void {
    try {
      work();
    } catch (error) {
      const { code, message } = toHullError(error);
      throw new HullError(code, `entry "${text(entry.name)}": ${message}`, { cause: error });
    }
  }

  /** overlayfs merges the roots of its layers even if one is marked as opaque: what is below is hidden name by name. */
  #hideRoot(): void {
    if (this.#lower === undefined) throw failedPrecondition("it hides all that is below the layer, which isn't known");
    for (const name of this.#lower.names) this.#whiteouts.remove(name, 0, 0);
  }

  #make(entry: TarEntry): void {
    const path = this.#path;
    if (path === "") {
      if (entry.type !== "directory") throw invalidArgument("the root of a layer can only be a directory");
      // The root's looks are the snapshotter's, as with containerd: many a layer was packed in a private directory.
      return;
    }
    switch (entry.type) {
      case "file":
        this.#fd = this.#attempt(path, () => createFile(path, entry.mode));
        this.#offset = 0;
        this.#whiteouts.made(path);
        return;
      case "directory":
        this.#makeDirectory(entry, path);
        return;
      case "symlink":
        this.#makeSymlink(entry, path);
        return;
      case "hardlink":
        this.#makeHardlink(entry, path);
        return;
      case "character":
      case "block":
      case "fifo":
        this.#makeNode(entry, path, entry.type);
        return;
      case "other":
        throw unimplemented(`its type "${entry.flag}" is not one that layers have`);
    }
  }

  #makeDirectory(entry: TarEntry, path: string): void {
    const isNew = this.#attempt(path, () => makeDirectory(path, entry.mode), "directory") === 0;
    this.#whiteouts.made(path);
    setAttributes(path, entry, { inherits: this.#inherits || !isNew, hasMode: isNew });
    if (passesOn(entry)) this.#inherits = true;
    this.#directoryTimes.set(path, { mtime: entry.mtime, atime: entry.atime });
  }

  #makeSymlink(entry: TarEntry, path: string): void {
    if (entry.linkName.length === 0) throw invalidArgument("it is a symbolic link to nothing");
    this.#attempt(path, () => numbered(() => symlinkSync(Buffer.from(entry.linkName), bytesOf(path))));
    this.#whiteouts.made(path);
    setAttributes(path, entry, { inherits: this.#inherits, hasMode: true });
    setEntryTimes(path, entry);
  }

  #makeNode(entry: TarEntry, path: string, type: NodeType): void {
    if (type !== "fifo" && !this.#devices) return;
    const device = type === "fifo" ? 0n : makeDevice(entry.deviceMajor, entry.deviceMinor);
    this.#attempt(path, () => createNode(path, nodeTypes[type], entry.mode, device));
    this.#whiteouts.made(path);
    setAttributes(path, entry, { inherits: this.#inherits, hasMode: true });
    setEntryTimes(path, entry);
  }

  /** The file got owner, mode and the rest with its own entry: they are not set again, which would cost it its capabilities. */
  #makeHardlink(entry: TarEntry, path: string): void {
    const target = cleanPath(entry.linkName);
    if (target === path) {
      if (look(path) === undefined) throw invalidArgument("it is a hard link to itself");
      return;
    }
    this.#requireTarget(target);
    this.#attempt(path, () => createLink(target, path));
    this.#whiteouts.made(path);
  }

  #requireTarget(target: string): void {
    const stat = look(target);
    if (stat?.isDirectory() === true) throw invalidArgument(`it is a hard link to the directory "${display(target)}"`);
    if (stat !== undefined && !this.#isMark(stat)) return;
    using below = stat === undefined ? this.#lower?.find(target) : undefined;
    if (below?.stat.isFile() === true) {
      this.#makeParents(target);
      copyFile(below, target);
      this.#whiteouts.made(target);
      return;
    }
    throw failedPrecondition(`it is a hard link to "${display(target)}", which is not there`);
  }

  /**
   * Makes something at `path`, after making room or parents if it needs that. Gives what the attempt gave; 1 if a directory was
   * asked for and is there already.
   */
  #attempt(path: string, attempt: Attempt, wanted?: "directory"): number {
    for (let tries = 0; ; tries++) {
      const result = attempt();
      if (result >= 0) return result;
      // Room, and parents: two things that can be missing.
      if (tries === 2) throw new SysError(-result, "create", `"${display(path)}"`);
      switch (-result) {
        case errno.EEXIST: {
          const stat = look(path);
          if (wanted === "directory" && stat?.isDirectory() === true) return 1;
          if (wanted === "directory" && this.#isMark(stat)) {
            this.#replaceMark(path);
            return 1;
          }
          this.#forgetDirectories(path);
          this.#whiteouts.replace(path);
          break;
        }
        case errno.ENOENT:
        case errno.ENOTDIR:
          this.#makeParents(path);
          break;
        default:
          throw new SysError(-result, "create", `"${display(path)}"`);
      }
    }
  }

  /** Directories that are about to go must not get their times at the end: something else may be there by then. */
  #forgetDirectories(path: string): void {
    for (const known of this.#directoryTimes.keys()) {
      if (known === path || known.startsWith(`${path}/`)) this.#directoryTimes.delete(known);
    }
  }

  #isMark(stat: BigIntStats | undefined): boolean {
    return this.#whiteouts.marks && stat !== undefined && isWhiteoutDevice(stat);
  }

  /** A directory where the layer says that there is none below: it must not show what is below after all. */
  #replaceMark(path: string): void {
    unlinkSync(bytesOf(path));
    mkdirSync(bytesOf(path), 0o755);
    this.#whiteouts.hide(path);
  }

  /** Makes the directories that lead to `path`, where they are missing, with the looks they have in the layers below. */
  #makeParents(path: string): void {
    const missing: string[] = [];
    for (let parent = parentOf(path); parent !== ""; parent = parentOf(parent)) missing.push(parent);
    for (const parent of missing.reverse()) this.#makeParent(parent);
  }

  #makeParent(path: string): void {
    const result = makeDirectory(path, 0o755);
    if (result === 0) {
      if (this.#lower === undefined && this.#whiteouts.marks) {
        // Its owner and mode are the layers' below to say, and those aren't known yet.
        throw failedPrecondition(`its directory "${display(path)}" is not in the layer, and what is below isn't known`);
      }
      this.#adopt(path);
      return;
    }
    if (result !== -errno.EEXIST) throw new SysError(-result, "mkdir", `"${display(path)}"`);
    const stat = look(path);
    if (stat === undefined || stat.isDirectory()) return;
    if (stat.isSymbolicLink()) {
      if (leadsToDirectory(path)) return;
      const target = resolve(path);
      this.#makeParents(childOf(target, "x"));
      return;
    }
    if (this.#isMark(stat)) {
      this.#replaceMark(path);
      return;
    }
    throw invalidArgument(`"${display(path)}" is not a directory`);
  }

  #adopt(path: string): void {
    using below = this.#lower?.find(path);
    if (below?.stat.isDirectory() !== true) return;
    const { stat } = below;
    copyAttributes(below, path);
    if (stat.gid !== 0n || (stat.mode & 0o2000n) !== 0n) this.#inherits = true;
    this.#directoryTimes.set(path, { mtime: tarTime(stat.mtimeNs) });
  }
}

/** 0, or a negative error number. */
function makeDirectory(path: string, mode: number): number {
  return numbered(() => mkdirSync(bytesOf(path), mode));
}

/** Turns the failure of a call of the runtime into a number, as our own calls have it. */
function numbered(call: () => void): number {
  try {
    call();
    return 0;
  } catch (error) {
    for (const name of ["EEXIST", "ENOENT", "ENOTDIR"] as const) if (isErrno(error, name)) return -errno[name];
    throw error;
  }
}

function leadsToDirectory(path: string): boolean {
  try {
    return statSync(bytesOf(path)).isDirectory();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}
