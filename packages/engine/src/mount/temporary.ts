import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mountAll, unmountAll } from "@hull/sys/mount";
import { startProgram, which } from "@hull/sys/program";
import type { Mount } from "./index.ts";

/** Mounts on a directory of their own, for as long as the scope lasts. */
export interface TemporaryMount extends AsyncDisposable {
  /** Where they are mounted. */
  readonly path: string;
}

export interface TemporaryMountOptions {
  /** Where the directory is made. Default: the system's for temporary files. */
  directory?: string;
}

/**
 * Mounts `mounts`, in order, on a new directory. Disposing unmounts and removes it. Needs the right to mount.
 *
 * @throws SysError as the kernel refuses; nothing is left mounted then
 */
export function temporaryMount(
  mounts: readonly Mount[],
  { directory = tmpdir() }: TemporaryMountOptions = {},
): TemporaryMount {
  const path = mkdtempSync(join(directory, "hull-mount-"));
  try {
    mountAll(mounts, path);
  } catch (error) {
    rmdirSync(path);
    throw error;
  }
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      if (mounts.some(isWritableOverlay)) await unmountElsewhere(path);
      unmountAll(path);
      // Not recursive: were something still mounted, its files would be deleted.
      rmdirSync(path);
    },
  };
}

/** Runs `use` with the mounts made on a directory, and gives what it gives. See `temporaryMount`. */
export async function withTemporaryMount<T>(
  mounts: readonly Mount[],
  use: (path: string) => Promise<T> | T,
  options?: TemporaryMountOptions,
): Promise<T> {
  await using mounted = temporaryMount(mounts, options);
  return await use(mounted.path);
}

/** The same mounts for one who only reads: binds read-only, overlays without an upper directory (which becomes the top of the lower ones). */
export function readOnlyMounts(mounts: readonly Mount[]): Mount[] {
  return mounts.map((mount) => (mount.type === "overlay" ? readOnlyOverlay(mount) : readOnlyBind(mount)));
}

function readOnlyBind(mount: Mount): Mount {
  return { ...mount, options: [...mount.options.filter((option) => option !== "rw" && option !== "ro"), "ro"] };
}

function readOnlyOverlay(mount: Mount): Mount {
  const value = (name: string) => mount.options.find((option) => option.startsWith(`${name}=`))?.slice(name.length + 1);
  const upper = value("upperdir");
  if (upper === undefined) return mount;
  const others = mount.options.filter((option) => !/^(upperdir|workdir|lowerdir)=/.test(option));
  return { ...mount, options: [...others, `lowerdir=${upper}:${value("lowerdir") ?? ""}`] };
}

const isWritableOverlay = ({ type, options }: Mount) =>
  type === "overlay" && options.some((option) => option.startsWith("upperdir="));

/** Unmounts by a process of its own: the kernel syncs the upper directory's file system first, in whoever unmounts. */
async function unmountElsewhere(path: string): Promise<void> {
  const program = which("umount");
  if (program === null) return;
  await startProgram([program, "--", path], { stdio: ["ignore", "ignore", "ignore"], env: {} }).exited;
}
