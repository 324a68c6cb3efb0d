import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { DiffDefinition } from "@hull/api/gen/containerd/services/diff/v1/diff";
import { SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import { Any } from "@hull/api/gen/google/protobuf/any";
import type { Client } from "@hull/client/client";
import { type Container, specOf } from "@hull/client/containers";
import { readBlob } from "@hull/client/content";
import { getImage, type Image, platformImage, snapshotOf, toWireDescriptor } from "@hull/client/images";
import { enterRawMode } from "@hull/client/io/terminal";
import { withLease } from "@hull/client/lease";
import { newTask } from "@hull/client/tasks";
import { pullImage } from "@hull/client/transfer";
import { internal, isCode } from "@hull/errors";
import type { Descriptor } from "@hull/oci/descriptor";
import { type Index, maxManifestSize, parseIndex } from "@hull/oci/manifest";
import { isIndex, mediaTypes } from "@hull/oci/media-types";
import { hostPlatform } from "@hull/oci/platform";
import type { CtrAction } from "./action.ts";
import { annotationNames } from "./checkpoint.ts";
import { withClient } from "./connect.ts";
import { CtrError } from "./errors.ts";
import type { containersRestore } from "./flags.ts";
import { attend, ioFor } from "./tasks-run.ts";

/** The most bytes of a spec or of options in a checkpoint. */
const maxPart = 8 * 1024 * 1024;

/** Makes a container of a checkpoint, and starts it: from its beginning, or with `--live` where it stood. */
export const restoreContainer: CtrAction<typeof containersRestore> = async ({
  flags,
  args: [id = "", ref = ""],
  globals,
  host,
}) => {
  if (id === "") throw new CtrError("container id must be provided");
  if (ref === "") throw new CtrError("ref must be provided");
  return await withClient(globals, async (client) => {
    const { target } = await checkpointOf(client, ref);
    // Another image is no checkpoint, which containerd's client tells by the annotation that it lacks.
    if (!isIndex(target.mediaType)) throw new CtrError("image name not found in index");
    const index = parseIndex(`content "${target.digest}"`, await readBlob(client, target.digest, maxManifestSize));
    const container = await withLease(client, (leased) => restored(leased, id, index, flags.rw));
    const checkpoint = flags.live
      ? index.manifests.find(({ mediaType }) => mediaType === mediaTypes.checkpoint)
      : undefined;
    const tty = specOf(container)?.process.terminal === true;
    using terminal = tty ? enterRawMode(0) : undefined;
    void terminal;
    const io = ioFor(id, { "null-io": false, detach: !tty, terminal: tty }, host);
    const process = await newTask(client, container, io, checkpoint === undefined ? {} : { checkpoint });
    return await attend(process, { detach: !tty, tty }, async () => {
      await process.delete();
    });
  });
};

async function checkpointOf(client: Client, ref: string): Promise<Image> {
  try {
    return await getImage(client, ref);
  } catch (error) {
    if (!isCode(error, "notFound")) throw error;
    await pullImage(client, ref, { platforms: [hostPlatform()] });
    return await getImage(client, ref);
  }
}

async function restored(client: Client, id: string, index: Index, rw: boolean): Promise<Container> {
  const { annotations = {} } = index;
  const image = annotations[annotationNames.image];
  if (image === undefined || image === "") throw new CtrError("image name not found in index");
  const snapshotter = annotations[annotationNames.snapshotter];
  if (snapshotter === undefined || snapshotter === "") throw new CtrError("snapshotter not found in index");
  const parent = snapshotOf(await platformImage(client, (await getImage(client, image)).target));
  await using undo = new AsyncDisposableStack();
  const snapshots = client.service(SnapshotsDefinition);
  const { mounts } = await snapshots.prepare({ snapshotter, key: id, parent });
  undo.defer(async () => void (await snapshots.remove({ snapshotter, key: id })));
  const spec = await anyOf(client, partOf(index, mediaTypes.checkpointConfig));
  const runtime = annotations[annotationNames.runtime];
  if (runtime === undefined) throw new CtrError("runtime not found in index");
  const options = index.manifests.find(({ mediaType }) => mediaType === mediaTypes.checkpointRuntimeOptions);
  if (rw) {
    const diff = toWireDescriptor(partOf(index, mediaTypes.ociLayerGzip));
    await client.service(DiffDefinition).apply({ diff, mounts });
  }
  const { container } = await client.service(ContainersDefinition).create({
    container: {
      id,
      image,
      snapshotter,
      snapshotKey: id,
      runtime: { name: runtime, options: options === undefined ? undefined : await anyOf(client, options) },
      spec,
    },
  });
  undo.move();
  if (container === undefined) throw internal(`the record of container "${id}" did not come back`);
  return container;
}

/** @throws CtrError in the words of containerd's client */
function partOf(index: Index, wanted: string): Descriptor {
  const found = index.manifests.find(({ mediaType }) => mediaType === wanted);
  if (found === undefined) throw new CtrError("media type not found");
  return found;
}

const anyOf = async (client: Client, { digest }: Descriptor): Promise<Any> =>
  Any.decode(await readBlob(client, digest, maxPart));
