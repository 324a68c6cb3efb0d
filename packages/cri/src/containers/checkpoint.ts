/** Checkpoints of running containers as archives, in the form that checkpointctl reads (checkpoint-restore/checkpointctl, metadata). */

import { copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointOptions } from "@hull/api/gen/containerd/runc/v1/options";
import type { ContentStore } from "@hull/engine/content/index";
import { type Context, contextFor } from "@hull/engine/context";
import type { Differ } from "@hull/engine/diff/index";
import { unlessGone } from "@hull/engine/unless-gone";
import { unknown } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { criNamespace, type PodContainer } from "../model.ts";
import { goJson } from "../records/index.ts";
import { wrapped } from "../wrap.ts";
import type { ContainersContext } from "./context.ts";
import { requireCriu } from "./criu.ts";
import { stateName, toWireStatus } from "./wire.ts";

/** What archives are made with. */
export interface CheckpointParts {
  readonly differ: Differ;
  readonly content: Pick<ContentStore, "path" | "writer">;
}

const tarType = "application/vnd.oci.image.layer.v1.tar";

/**
 * Writes a checkpoint of a running container, which goes on, to the file `location`.
 * @throws NotFound; Unknown without CRIU, for one that doesn't run, and with the runtime's reason
 */
export async function checkpointContainer(
  of: ContainersContext,
  { containerId, location }: { readonly containerId: string; readonly location: string },
): Promise<void> {
  await requireCriu(of.options.config.runtime, `failed to checkpoint container ${JSON.stringify(containerId)}`);
  const container = of.options.containers.get(
    containerId,
    `an error occurred when trying to find container the container status ${JSON.stringify(containerId)}: ` +
      `an error occurred when try to find container ${JSON.stringify(containerId)}`,
  );
  const { state } = container.status;
  if (state !== "running")
    throw unknown(
      `container ${JSON.stringify(container.id)} is in ${stateName(state)} state. only CONTAINER_RUNNING containers can be checkpointed`,
    );
  const directory = join(of.root(container.id), "ctrd-checkpoint");
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { mode: 0o700 });
  try {
    await write(of, container, directory, location);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function write(of: ContainersContext, container: PodContainer, directory: string, location: string) {
  const { records, tasks, images, checkpoints, leases } = of.options;
  const { id } = container;
  const record = await records.get(of.engine, id);
  const status = await toWireStatus(container, images);
  const options = CheckpointOptions.fromPartial({ workPath: directory });
  const value = CheckpointOptions.encode(options).finish();
  try {
    const typed = { typeUrl: "containerd.runc.v1.CheckpointOptions", value };
    await tasks.checkpoint(of.engine, id, join(directory, "checkpoint"), typed);
  } catch (error) {
    throw wrapped(`checkpointing container ${JSON.stringify(id)} failed`, error);
  }
  const image = status.image?.image ?? "";
  const config = {
    id,
    name: container.name,
    rootfsImage: image,
    rootfsImageRef: status.imageRef,
    rootfsImageName: image,
    runtime: record.runtime.name,
    createdTime: new Date(Number(record.createdAt / 1_000_000n)).toISOString(),
    checkpointedTime: new Date().toISOString(),
  };
  await Promise.all([
    writeFile(join(directory, "config.dump"), JSON.stringify(config), { mode: 0o600 }),
    writeFile(join(directory, "status.dump"), JSON.stringify(goJson(status)), { mode: 0o600 }),
    writeFile(join(directory, "spec.dump"), record.spec.value, { mode: 0o600 }),
    copyFile(join(of.root(id), "status"), join(directory, "status")),
    copyIfThere(container.logPath, join(directory, "container.log")),
  ]);
  const lease = await leases.create(of.engine, "", {});
  try {
    const ctx = contextFor(criNamespace, { lease: lease.id });
    await copyFile(await rootfsDiff(of, ctx, record), join(directory, "rootfs-diff.tar"));
    const bind = { type: "bind", source: directory, target: "", options: ["rbind", "ro"] };
    const archive = await checkpoints.differ.compare(ctx, [], [bind], { mediaType: tarType });
    await copyFile(await checkpoints.content.path(ctx, archive.digest), location);
  } finally {
    await leases.delete(of.engine, lease.id);
  }
}

/** What the container has changed of its image's files, as a layer. Gives its path. */
async function rootfsDiff(
  of: ContainersContext,
  ctx: Context,
  { id, snapshotter: name, snapshotKey }: { id: string; snapshotter: string; snapshotKey: string },
): Promise<string> {
  const { checkpoints } = of.options;
  const snapshotter = of.snapshotter(name);
  const { parent } = await snapshotter.stat(ctx, snapshotKey);
  const key = `${id}-checkpoint`;
  const left = parent === "" ? [] : await snapshotter.view(ctx, key, parent);
  try {
    const layer = await checkpoints.differ.compare(ctx, left, await snapshotter.mounts(ctx, snapshotKey), {
      mediaType: tarType,
    });
    return await checkpoints.content.path(ctx, layer.digest);
  } finally {
    await unlessGone(() => snapshotter.remove(ctx, key));
  }
}

async function copyIfThere(from: string, to: string): Promise<void> {
  if (from === "") return;
  try {
    await copyFile(from, to);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}
