import { statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import type { Mount as VolumeMount } from "@hull/api/gen/cri/v1/cri";
import type { Mount } from "@hull/engine/mount/index";
import { readOnlyMounts, temporaryMount } from "@hull/engine/mount/temporary";
import { copyTree } from "@hull/engine/snapshots/copy-tree";
import { isErrno } from "@hull/sys/errno";
import { resolveInRoot } from "@hull/sys/resolve";

const never = new AbortController().signal;

/** Puts into the volumes that an image names what the image has at their places. @throws what mounting and copying throw */
export async function fillVolumes(rootfs: readonly Mount[], volumes: readonly VolumeMount[]): Promise<void> {
  // Whose files they are in the container is the mount's matter.
  const plain = rootfs.map((mount) => ({
    ...mount,
    options: mount.options.filter((option) => !/^[ug]idmap=/.test(option)),
  }));
  await using mounted = temporaryMount(readOnlyMounts(plain));
  for (const { hostPath, containerPath } of volumes) {
    const source = resolveInRoot(mounted.path, containerPath);
    await mkdir(hostPath, { recursive: true });
    if (isDirectory(source)) await copyTree(source, hostPath, never);
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}
