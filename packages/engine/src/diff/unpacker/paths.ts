/**
 * Paths inside the target: relative to its root, without "." and "..", one character a byte (Latin-1), so that names which
 * are no UTF-8 stay as they are. The root itself is the empty string.
 */

import { invalidArgument } from "@hull/errors";
import { text } from "../tar/index.ts";

/** Longest path that the kernel takes, without its NUL (include/uapi/linux/limits.h). */
const maximumPath = 4095;

/** Empty parts, "." and "..": what a path must be cleaned of. */
const unclean = /(?:^|\/)\.{0,2}(?:\/|$)/;

/**
 * Cleans a name from an archive. Absolute ones count from the root; a ".." takes the part before it away, as text.
 *
 * @throws invalidArgument if ".." leads above the root, or the path is too long
 */
export function cleanPath(name: Uint8Array): string {
  let path = Buffer.from(name.buffer, name.byteOffset, name.length).toString("latin1");
  if (path.startsWith("./")) path = path.slice(2);
  if (path.endsWith("/")) path = path.slice(0, -1);
  if (unclean.test(path)) path = resolveParts(path, name);
  if (path.length > maximumPath) throw invalidArgument(`"${text(name)}" is longer than ${maximumPath} bytes`);
  return path;
}

function resolveParts(path: string, name: Uint8Array): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) throw invalidArgument(`"${text(name)}" leads out of the layer's root`);
  }
  return parts.join("/");
}

/** The directory a path is in; the root's is the root. */
export function parentOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash === -1 ? "" : path.slice(0, slash);
}

/** The last part of a path. */
export function baseOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** `name` in the directory `parent`. */
export function childOf(parent: string, name: string): string {
  return parent === "" ? name : `${parent}/${name}`;
}

/** The bytes of a path for a call made from the root. */
export function bytesOf(path: string): Buffer {
  return Buffer.from(path === "" ? "." : path, "latin1");
}

/** A path for a message. */
export function display(path: string): string {
  return path === "" ? "/" : text(Buffer.from(path, "latin1"));
}
