import { createHash } from "node:crypto";
import type { Stats } from "node:fs";
import { chmod, lchown, lstat, mkdtemp, opendir, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import { invalidArgument, isCode } from "@hull/errors";
import type { IdMapping } from "@hull/oci/spec";
import { mountAll, unmountAll } from "@hull/sys/mount";
import type { Client } from "./client.ts";

/** Which ids of the host a container's own are. */
export interface IdMappings {
  readonly uids: readonly IdMapping[];
  readonly gids: readonly IdMapping[];
}

/**
 * A committed snapshot like `parent` whose files belong to the host's ids of a user namespace: made once for each parent and mapping, by
 * copying up every file. containerd's clients use the same name for it.
 * @throws InvalidArgument for a file whose owner has no id on the host
 */
export async function remappedSnapshot(
  client: Client,
  { snapshotter, parent, mappings }: { snapshotter: string; parent: string; mappings: IdMappings },
): Promise<string> {
  const snapshots = client.service(SnapshotsDefinition);
  const name = nameOf(parent, mappings);
  const exists = async (): Promise<boolean> => {
    try {
      await snapshots.stat({ snapshotter, key: name });
      return true;
    } catch (error) {
      if (isCode(error, "notFound")) return false;
      throw error;
    }
  };
  if (await exists()) return name;
  const key = `${name}-remap`;
  const { mounts } = await snapshots.prepare({ snapshotter, key, parent, labels: {} });
  await using undo = new AsyncDisposableStack();
  undo.defer(async () => void (await snapshots.remove({ snapshotter, key })));
  const target = await mkdtemp(join(tmpdir(), "hull-remap-"));
  try {
    mountAll(mounts, target);
    await remap(target, mappings, new Set());
  } finally {
    unmountAll(target);
    await rmdir(target);
  }
  await snapshots.commit({ snapshotter, name, key, labels: {}, parent: "" });
  undo.move();
  return name;
}

function nameOf(Parent: string, { uids, gids }: IdMappings): string {
  const sorted = (map: readonly IdMapping[]): IdMapping[] =>
    map
      .toSorted((a, b) => a.containerID - b.containerID)
      .map(({ containerID, hostID, size }) => ({ containerID, hostID, size }));
  const text = JSON.stringify({ Parent, IDMap: { UidMap: sorted(uids), GidMap: sorted(gids) } });
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
}

/** `done` are files with several names that have been changed already. */
async function remap(path: string, mappings: IdMappings, done: Set<string>): Promise<void> {
  const info = await lstat(path);
  const file = `${info.dev}:${info.ino}`;
  if (!done.has(file)) await changeOwner(path, info, mappings);
  if (info.nlink > 1 && !info.isDirectory()) done.add(file);
  if (!info.isDirectory()) return;
  for await (const entry of await opendir(path)) await remap(join(path, entry.name), mappings, done);
}

async function changeOwner(path: string, info: Stats, mappings: IdMappings): Promise<void> {
  const { uid, gid, mode } = info;
  await lchown(path, hostId(uid, mappings.uids, "uid"), hostId(gid, mappings.gids, "gid"));
  // The kernel takes set-id bits from a file that gets another owner.
  if (!info.isSymbolicLink() && (mode & 0o7000) !== 0) await chmod(path, mode & 0o7777);
}

function hostId(id: number, map: readonly IdMapping[], what: string): number {
  for (const { containerID, hostID, size } of map)
    if (id >= containerID && id < containerID + size) return hostID + id - containerID;
  throw invalidArgument(`a file of the image belongs to ${what} ${id}, which the user namespace has no id for`);
}
