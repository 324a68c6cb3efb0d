import { mkdirSync, mkdtempSync, readdirSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { mountAll, unmountTree } from "@hull/sys/mount";
import { fileSystemType } from "@hull/sys/mount-support";
import { copyTree } from "./copy-tree.ts";

/**
 * Why overlays can't be used with layers in `root` (made if missing), or undefined if they can. Tries it: mounts one, and deletes a file
 * through it, which a file system without types in its directories (xfs with ftype=0) gets wrong.
 */
export async function whyNoOverlay(root: string): Promise<string | undefined> {
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const directory = mkdtempSync(join(root, "probe-"));
  const at = (name: string) => join(directory, name);
  try {
    for (const name of ["lower1", "lower2", "upper", "work", "merged"]) mkdirSync(at(name));
    writeFileSync(join(at("lower2"), "file"), "");
    const options = [`lowerdir=${at("lower2")}:${at("lower1")}`, `upperdir=${at("upper")}`, `workdir=${at("work")}`];
    mountAll([{ type: "overlay", source: "overlay", options }], at("merged"));
    unlinkSync(join(at("merged"), "file"));
    if (readdirSync(at("merged")).length === 0) return undefined;
    return `overlayfs on "${root}" (${fileSystemType(root)}) can't delete: the file system does not keep file types in directories`;
  } catch (error) {
    return `overlayfs can't be mounted on "${root}" (${fileSystemType(root)}): ${error instanceof Error ? error.message : error}`;
  } finally {
    unmountTree(at("merged"));
    await rm(directory, { recursive: true, force: true });
  }
}

/** Why the native snapshotter can't be used, or undefined if it can: it needs a cp that knows GNU's options. */
export async function whyNoNative(root: string): Promise<string | undefined> {
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const directory = mkdtempSync(join(root, "probe-"));
  try {
    mkdirSync(join(directory, "from"));
    mkdirSync(join(directory, "to"));
    await copyTree(join(directory, "from"), join(directory, "to"), new AbortController().signal);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
