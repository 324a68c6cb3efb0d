/** What happens rarely while a layer is unpacked: looking, resolving, removing. Paths as in `paths.ts`. */

import { type BigIntStats, lstatSync, readdirSync, readlinkSync, rmdirSync, unlinkSync } from "node:fs";
import { invalidArgument } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { bytesOf, childOf, display } from "./paths.ts";

/** The file's state, of a link itself; undefined if there is none. */
export function look(path: string): BigIntStats | undefined {
  try {
    return lstatSync(bytesOf(path), { bigint: true });
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

/** True for overlayfs's mark of a deletion: the character device 0:0. */
export function isWhiteoutDevice(stat: BigIntStats): boolean {
  return stat.isCharacterDevice() && stat.rdev === 0n;
}

/** Names in a directory. */
export function list(path: string): string[] {
  return readdirSync(bytesOf(path), { encoding: "buffer" }).map((name) => name.toString("latin1"));
}

/** Removes a file, or a directory with all that is in it. Nothing there is fine. */
export function removeAll(path: string): void {
  const stat = look(path);
  if (stat === undefined) return;
  if (!stat.isDirectory()) {
    unlinkSync(bytesOf(path));
    return;
  }
  for (const name of list(path)) removeAll(childOf(path, name));
  rmdirSync(bytesOf(path));
}

/** Removes a file or tree but for what `keep` wants, and the directories that leads to. */
export function removeAllBut(path: string, keep: (path: string) => boolean): void {
  const stat = look(path);
  if (stat === undefined) return;
  if (!stat.isDirectory()) {
    if (!keep(path)) unlinkSync(bytesOf(path));
    return;
  }
  for (const name of list(path)) removeAllBut(childOf(path, name), keep);
  if (keep(path)) return;
  try {
    rmdirSync(bytesOf(path));
  } catch (error) {
    if (!isErrno(error, "ENOTEMPTY", "EEXIST")) throw error;
  }
}

/** As the kernel: more links than these in one path are a loop (include/linux/namei.h). */
const maximumLinks = 40;

/**
 * Where a path leads when all links in it are followed, within the root, where ".." ends. Parts that don't exist stay.
 *
 * @throws invalidArgument after 40 links
 */
export function resolve(path: string): string {
  const pending = path.split("/").reverse();
  let done: string[] = [];
  let links = 0;
  for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
    if (part === "" || part === ".") continue;
    if (part === "..") {
      done.pop();
      continue;
    }
    const here = childOf(done.join("/"), part);
    if (look(here)?.isSymbolicLink() !== true) {
      done.push(part);
      continue;
    }
    if (++links > maximumLinks)
      throw invalidArgument(`"${display(path)}" goes through more than ${maximumLinks} links`);
    const target = readlinkSync(bytesOf(here), { encoding: "buffer" }).toString("latin1");
    if (target.startsWith("/")) done = [];
    pending.push(...target.split("/").reverse());
  }
  return done.join("/");
}
