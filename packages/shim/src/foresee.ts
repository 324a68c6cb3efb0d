/**
 * Foreseeing that an OCI runtime will refuse a process. A runtime writes the reason to its own standard error as well as to its log, and
 * that is the process's: the client would find it in the container's output. So a process that won't come to be gets none.
 */

import { accessSync, constants, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { resolveInRoot } from "@hull/sys/resolve";

/** What counts here of the OCI runtime spec's `process`. */
interface ProcessPart {
  args?: readonly string[];
  cwd?: string;
  env?: readonly string[];
}

/** What counts here of the OCI runtime spec. */
export interface SpecPart {
  root?: { path?: string };
  process?: ProcessPart;
  mounts?: readonly { type?: string; source?: string; options?: readonly string[] }[];
}

/**
 * True if a bind mount's source is missing, or the program can't be found in the root file system, on which mounts are not done yet; and if
 * what is looked at is of another type than it should be.
 */
export function createWillFail(bundle: string, { root, process = {}, mounts = [] }: SpecPart): boolean {
  const isBind = ({ type, options = [] }: { type?: string; options?: readonly string[] }): boolean =>
    type === "bind" || options.includes("bind") || options.includes("rbind");
  try {
    const rootfs = resolve(bundle, root?.path ?? "rootfs");
    return mounts.some((mount) => isBind(mount) && !exists(mount.source ?? "")) || !canStart(rootfs, process);
  } catch {
    return true;
  }
}

/**
 * True if the program or the working directory can't be found in the container, whose root file system as it sees it is `root`.
 * `spec` should be an OCI process document, JSON; with any other text it will fail.
 */
export function execWillFail(root: string, spec: Uint8Array): boolean {
  try {
    const process = JSON.parse(new TextDecoder().decode(spec)) as ProcessPart;
    return !hasProgram(root, process) || !isDirectory(root, process.cwd ?? "/");
  } catch {
    return true;
  }
}

function canStart(root: string, process: ProcessPart): boolean {
  return (process.cwd ?? "").startsWith("/") && hasProgram(root, process);
}

/** Looks as execvp(3) does, by the $PATH that the process will have. */
function hasProgram(root: string, { args = [], cwd = "/", env = [] }: ProcessPart): boolean {
  const [name = ""] = args;
  if (name.includes("/")) return isProgram(root, name.startsWith("/") ? name : join(cwd, name));
  const path = env.findLast((entry) => entry.startsWith("PATH="))?.slice("PATH=".length) ?? "";
  return path.split(":").some((directory) => isProgram(root, join("/", directory, name)));
}

/** Of a path in the container. What can't be looked at (a name too long, a circle of links) is none. */
function isProgram(root: string, path: string): boolean {
  try {
    const found = resolveInRoot(root, path);
    accessSync(found, constants.X_OK);
    return statSync(found).isFile();
  } catch {
    return false;
  }
}

function exists(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}

function isDirectory(root: string, path: string): boolean {
  try {
    return statSync(resolveInRoot(root, path)).isDirectory();
  } catch {
    return false;
  }
}
