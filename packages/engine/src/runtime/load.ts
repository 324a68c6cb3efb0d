/** Finding the tasks of an earlier run of the daemon by their bundles. */

import { readdirSync, rmdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { isErrno } from "@hull/sys/errno";
import { Bundle, bundlesDirectory, type RuntimeDirectories, workDirectory } from "./bundle.ts";

/**
 * Calls `each` for every bundle (of tasks unless `owner` names another's), many at a time, and waits for all. Bundles that were being deleted, empty ones, and work directories
 * without a bundle are removed.
 */
export async function loadBundles(
  directories: RuntimeDirectories,
  each: (bundle: Bundle) => Promise<void>,
  owner?: string,
): Promise<void> {
  const work: Promise<void>[] = [];
  for (const namespace of entries(bundlesDirectory(directories, owner))) {
    const parent = join(bundlesDirectory(directories, owner), namespace);
    for (const name of entries(parent)) {
      const bundle = new Bundle(directories, namespace, name, owner);
      // One that was being deleted, as a bundle of that name, so that what may still be mounted in it is taken down first.
      if (name.startsWith(".")) work.push(bundle.delete());
      else if (!removeEmpty(join(parent, name))) work.push(each(bundle));
    }
  }
  const results = await Promise.allSettled(work);
  const works = workDirectory(directories, owner);
  for (const namespace of entries(works)) {
    const bundles = new Set(entries(join(bundlesDirectory(directories, owner), namespace)));
    for (const id of entries(join(works, namespace))) {
      if (!bundles.has(id)) await rm(join(works, namespace, id), { recursive: true, force: true });
    }
  }
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

function removeEmpty(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch (error) {
    if (isErrno(error, "ENOTEMPTY", "EEXIST", "ENOTDIR")) return false;
    throw error;
  }
}

function entries(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}
