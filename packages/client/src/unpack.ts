import { ContentDefinition } from "@hull/api/gen/containerd/services/content/v1/content";
import { DiffDefinition } from "@hull/api/gen/containerd/services/diff/v1/diff";
import { SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import { dataLoss, invalidArgument, isCode } from "@hull/errors";
import type { Descriptor } from "@hull/oci/descriptor";
import { chainId } from "@hull/oci/digest";
import { isLayer } from "@hull/oci/media-types";
import type { Client } from "./client.ts";
import { type PlatformImage, snapshotOf, toWireDescriptor } from "./images.ts";
import { leaseId, withLease } from "./lease.ts";

const uncompressedLabel = "containerd.io/uncompressed";

export interface UnpackOptions {
  readonly snapshotter: string;
  /** The layers' file system is synchronized before each is taken as done. */
  readonly syncFs?: boolean;
}

/**
 * Makes the snapshots of an image whose content is here, layer by layer; those that there are stay. The image's config refers to the
 * last one, which keeps them. Gives its name.
 * @throws NotFound if a layer's content is missing; DataLoss if a layer isn't what the config says
 */
export function unpackImage(client: Client, image: PlatformImage, options: UnpackOptions): Promise<string> {
  const { diffIds } = image.config;
  const layers = image.manifest.layers.filter(({ mediaType }) => isLayer(mediaType));
  if (layers.length !== diffIds.length) throw invalidArgument("mismatched image rootfs and manifest layers");
  return withLease(client, async (leased) => {
    for (const [at, layer] of layers.entries()) await applyLayer(leased, layer, diffIds.slice(0, at + 1), options);
    const top = snapshotOf(image);
    await setLabel(leased, image.manifest.config.digest, `containerd.io/gc.ref.snapshot.${options.snapshotter}`, top);
    return top;
  });
}

/** Makes the snapshot of a layer on those below it, unless it is there. `diffIds` ends with the layer's own. */
async function applyLayer(
  client: Client,
  layer: Descriptor,
  diffIds: readonly string[],
  { snapshotter, syncFs = false }: UnpackOptions,
): Promise<void> {
  const snapshots = client.service(SnapshotsDefinition);
  const name = chainId(diffIds);
  if (await exists(client, snapshotter, name)) return;
  const key = `extract-${leaseId()} ${name}`;
  const parent = diffIds.length === 1 ? "" : chainId(diffIds.slice(0, -1));
  const { mounts } = await snapshots.prepare({ snapshotter, key, parent });
  await using undo = new AsyncDisposableStack();
  undo.defer(async () => void (await snapshots.remove({ snapshotter, key })));
  const { digest } = layer;
  const diff = toWireDescriptor(layer);
  const { applied } = await client.service(DiffDefinition).apply({ diff, mounts, syncFs });
  const expected = diffIds.at(-1) ?? "";
  if (applied?.digest !== expected)
    throw dataLoss(`layer "${digest}" unpacks to "${applied?.digest}", but the image's config says "${expected}"`);
  try {
    await snapshots.commit({ snapshotter, name, key });
    undo.move();
  } catch (error) {
    // Somebody else was faster: theirs is the same.
    if (!isCode(error, "alreadyExists")) throw error;
  }
  await setLabel(client, digest, uncompressedLabel, expected);
}

async function exists(client: Client, snapshotter: string, key: string): Promise<boolean> {
  try {
    await client.service(SnapshotsDefinition).stat({ snapshotter, key });
    return true;
  } catch (error) {
    if (!isCode(error, "notFound")) throw error;
    return false;
  }
}

async function setLabel(client: Client, digest: string, key: string, value: string): Promise<void> {
  const info = { digest, labels: { [key]: value } };
  await client.service(ContentDefinition).update({ info, updateMask: [`labels.${key}`] });
}
