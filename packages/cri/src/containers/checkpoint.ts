/** Checkpoints of running containers as archives, in the form that checkpointctl reads (checkpoint-restore/checkpointctl, metadata). */

import { existsSync } from "node:fs";
import { copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointOptions } from "@hull/api/gen/containerd/runc/v1/options";
import type { Container } from "@hull/engine/containers/index";
import type { ContentStore } from "@hull/engine/content/index";
import { type Context, contextFor } from "@hull/engine/context";
import type { Differ } from "@hull/engine/diff/index";
import { unlessGone } from "@hull/engine/unless-gone";
import { unknown } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { criNamespace, type PodContainer } from "../model.ts";
import { goJson } from "../records/index.ts";
import { withinLater } from "../wrap.ts";
import { type ContainersContext, passingLease } from "./context.ts";
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
  const directory = directoryOf(of, container.id);
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { mode: 0o700 });
  try {
    await write(of, container, directory, location);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const directoryOf = (of: ContainersContext, id: string): string => join(of.root(id), "ctrd-checkpoint");

/** A container that was being checkpointed when the daemon ended goes on. */
export async function giveUpCheckpoint(of: ContainersContext, id: string): Promise<void> {
  const directory = directoryOf(of, id);
  if (!existsSync(directory)) return;
  await resume(of, id);
  await rm(directory, { recursive: true, force: true });
}

/** Has a container stand still until this is disposed; one that does already is left so. */
async function paused(of: ContainersContext, id: string): Promise<AsyncDisposable> {
  const { tasks } = of.options;
  const { status } = await tasks.get(of.engine, id);
  if (status !== "paused") await tasks.pause(of.engine, id);
  return { [Symbol.asyncDispose]: async () => (status === "paused" ? undefined : await resume(of, id)) };
}

async function resume({ options: { tasks }, engine }: ContainersContext, id: string): Promise<void> {
  await unlessGone(async () => {
    // It may have been ended meanwhile.
    if ((await tasks.get(engine, id)).status === "paused") await tasks.resume(engine, id);
  });
}

async function write(of: ContainersContext, container: PodContainer, directory: string, location: string) {
  const { records, images, checkpoints, leases } = of.options;
  const { id } = container;
  const record = await records.get(of.engine, id);
  const status = await toWireStatus(container, images);
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
  ]);
  const lease = await leases.create(of.engine, "", passingLease);
  try {
    const ctx = contextFor(criNamespace, { lease: lease.id });
    await dump(of, ctx, container, record, directory);
    const bind = { type: "bind", source: directory, target: "", options: ["rbind", "ro"] };
    const archive = await checkpoints.differ.compare(ctx, [], [bind], { mediaType: tarType });
    await copyFile(await checkpoints.content.path(ctx, archive.digest), location);
  } finally {
    await leases.delete(of.engine, lease.id);
  }
}

/** Writes memory, changed files and log as they are at one moment: a container that went on would find files from its future, and log lines twice. */
async function dump(
  of: ContainersContext,
  ctx: Context,
  { id, logPath }: PodContainer,
  record: Container,
  directory: string,
) {
  const failure = `checkpointing container ${JSON.stringify(id)} failed`;
  await using _still = await withinLater(failure, paused(of, id));
  const options = CheckpointOptions.fromPartial({ workPath: directory });
  const value = CheckpointOptions.encode(options).finish();
  const typed = { typeUrl: "containerd.runc.v1.CheckpointOptions", value };
  await withinLater(failure, of.options.tasks.checkpoint(of.engine, id, join(directory, "checkpoint"), typed));
  await copyFile(await rootfsDiff(of, ctx, record), join(directory, "rootfs-diff.tar"));
  // What it had written has long gone through the shim.
  await copyIfThere(logPath, join(directory, "container.log"));
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
