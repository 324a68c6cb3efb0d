import { chmodSync, chownSync, readdirSync, statSync } from "node:fs";
import type { Mount } from "@hull/api/gen/containerd/types/mount";
import { openRootFiles } from "@hull/client/io/host";
import { copyTree, Inside } from "../inside.ts";
import type { PlacedMount } from "./index.ts";

/**
 * Copies what the image has at the place of each volume that is still empty, with the owner and mode of that directory, as docker does:
 * a volume at /var/lib/x begins with what the image keeps there.
 */
export async function fillVolumes(placed: readonly PlacedMount[], rootfs: readonly Mount[]): Promise<void> {
  const empty = placed.flatMap(({ volume }) =>
    volume?.fill === true && readdirSync(volume.path).length === 0 ? [volume] : [],
  );
  if (empty.length === 0) return;
  using root = openRootFiles(rootfs);
  const inside = new Inside(root.fd, "");
  for (const { path, destination } of empty) {
    using source = inside.find(destination);
    if (source === undefined || !source.directory) continue;
    await copyTree(source.path, path);
    const { uid, gid, mode } = statSync(source.path);
    chownSync(path, uid, gid);
    chmodSync(path, mode & 0o7777);
  }
}
