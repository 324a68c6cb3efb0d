/** Help for this package's tests. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { type MountInfo, mountInfo, unmountTree } from "./mount.ts";

/** Whether tests may do what only root may. */
export const isRoot = process.getuid?.() === 0;

/** Mounts at a temporary directory and below, or of what is in it wherever they are: others come and go on a machine at any time. */
export function mountsOf(directory: string): MountInfo[] {
  const name = basename(directory);
  return mountInfo().filter(({ root, target }) => `${root}/${target}`.split("/").includes(name));
}

/** A directory that goes, with all that is mounted on it and in it, at the end of the scope. */
export function temporaryDirectory(): Disposable & { readonly path: string; at(...parts: string[]): string } {
  const path = mkdtempSync(join(tmpdir(), "hull-sys-"));
  return {
    path,
    at: (...parts) => join(path, ...parts),
    [Symbol.dispose]() {
      if (isRoot) unmountTree(path);
      rmSync(path, { recursive: true, force: true });
    },
  };
}
