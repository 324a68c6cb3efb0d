/** Finding the tasks of an earlier run of the daemon by their bundles. */

import { readdirSync, rmdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { isErrno } from "@hull/sys/errno";
import { Bundle, bundlesDirectory, type RuntimeDirectories, workDirectory } from "./bundle.ts";

/**
 * Calls `each` for every bundle, many at a time, and waits for all. Bundles that were being deleted, empty ones, and work directories
 * without a bundle are removed.
 */
export async function loadBundles(
  directories: RuntimeDirectories,
  each: (bundle: Bundle) => Promise<void>,
): Promise<void> {
  const work: Promise<void>[] = [];
  for (const namespace of entries(bundlesDirectory(directories))) {
    const parent = join(bundlesDirectory(directories), namespace);
    for (const name of entries(parent)) {
      if (name.startsWith(".")) work.push(removeHidden(directories, namespace, name));
      else if (!removeEmpty(join(parent, name))) work.push(each(new Bundle(directories, namespace, name)));
    }
  }
  const results = await Promise.allSettled(work);
  for (const namespace of entries(workDirectory(directories))) {
    const bundles = new Set(entries(join(bundlesDirectory(directories), namespace)));
    for (const id of entries(join(workDirectory(directories), namespace))) {
      if (!bundles.has(id)) await rm(join(workDirectory(directories), namespace, id), { recursive: true, force: true });
    }
  }
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

async function removeHidden(directories: RuntimeDirectories, namespace: string, name: string): Promise<void> {
  // As a bundle of that name, so that what may still be mounted in it is taken down first.
  await new Bundle(directories, namespace, name).delete();
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
