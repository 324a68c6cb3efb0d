import { lstatSync, readdirSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { HullError } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import type { Usage } from "./index.ts";

/** Bytes of a directory from which on its names are read by another thread: some thousand entries. */
const longDirectory = 128 << 10;

/** A directory under way: `names[next]` is what comes next. */
interface Open {
  readonly path: Buffer;
  readonly names: readonly Buffer[];
  next: number;
}

/**
 * What a directory tree takes on disk, itself included: blocks allocated, in bytes, and inodes. A file with several names counts once. What
 * disappears meanwhile doesn't count.
 *
 * Calls are synchronous, for an asynchronous one takes ten times as long, and give way to other work every few milliseconds; only where a
 * single call would take long, another thread makes it.
 */
export async function diskUsage(path: string, signal?: AbortSignal): Promise<Usage> {
  const usage: Usage = { size: 0, inodes: 0 };
  const linked = new Set<string>();
  const open: Open[] = [];
  let deadline = performance.now() + 4;
  // As bytes: names need not be UTF-8.
  for (let next: Buffer | undefined = Buffer.from(path); next !== undefined; next = nextOf(open)) {
    try {
      const stats = lstatSync(next, { throwIfNoEntry: false });
      if (stats === undefined) continue;
      const isDirectory = stats.isDirectory();
      if (!isDirectory && stats.nlink > 1) {
        const inode = `${stats.dev}:${stats.ino}`;
        if (linked.has(inode)) continue;
        linked.add(inode);
      }
      usage.size += stats.blocks * 512;
      usage.inodes++;
      if (isDirectory) {
        const isLong = stats.size > longDirectory;
        const names = isLong ? await readdir(next, { encoding: "buffer" }) : readdirSync(next, { encoding: "buffer" });
        open.push({ path: next, names, next: 0 });
      }
    } catch (error) {
      if (!isErrno(error, "ENOENT", "ENOTDIR")) throw HullError.from(error);
    }
    if (performance.now() > deadline) {
      await new Promise(setImmediate);
      signal?.throwIfAborted();
      deadline = performance.now() + 4;
    }
  }
  return usage;
}

/** The path of the next entry, of the directory that was opened last and has one. */
function nextOf(open: Open[]): Buffer | undefined {
  for (let last = open.at(-1); last !== undefined; last = open.at(-1)) {
    const name = last.names[last.next++];
    if (name !== undefined) return Buffer.concat([last.path, slash, name]);
    open.pop();
  }
  return undefined;
}

const slash = Buffer.from("/");
