import { CheckpointOptions } from "@hull/api/gen/containerd/runc/v1/options";
import { DiffDefinition } from "@hull/api/gen/containerd/services/diff/v1/diff";
import { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
import type { Descriptor as WireDescriptor } from "@hull/api/gen/containerd/types/descriptor";
import { Any } from "@hull/api/gen/google/protobuf/any";
import { encodeAny } from "@hull/api/typeurl";
import type { Client } from "@hull/client/client";
import { type Container, getContainer } from "@hull/client/containers";
import { writeContent } from "@hull/client/content";
import { fromWireDescriptor, getImage } from "@hull/client/images";
import { withLease } from "@hull/client/lease";
import { Trees } from "@hull/client/snapshot-trees";
import { getProcess, Status } from "@hull/client/tasks";
import { isCode } from "@hull/errors";
import type { Descriptor } from "@hull/oci/descriptor";
import { digestOf } from "@hull/oci/digest";
import { hostPlatform } from "@hull/oci/platform";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import { CtrError } from "./errors.ts";
import type { containersCheckpoint, tasksCheckpoint } from "./flags.ts";
import { sorted } from "./go-json.ts";

const indexType = "application/vnd.oci.image.index.v1+json";
const runtimeOptionsType = "application/vnd.containerd.container.checkpoint.runtime.options+proto";
const layerType = "application/vnd.oci.image.layer.v1.tar+gzip";
const optionsType = "containerd.runc.v1.CheckpointOptions";

/** What an index of a checkpoint says of the container, as containerd's client has it. */
export const annotationNames = {
  image: "org.opencontainers.image.ref.name",
  runtime: "io.containerd.checkpoint.runtime",
  snapshotter: "io.containerd.checkpoint.snapshotter",
} as const;

export const checkpointTask: CtrAction<typeof tasksCheckpoint> = async ({ flags, args: [id = ""], globals, host }) => {
  if (id === "") throw new CtrError("container id must be provided");
  const { exit, "image-path": imagePath = "", "work-path": workPath = "" } = flags;
  return await withClient(globals, (unleased) =>
    withLease(unleased, async (client) => {
      const container = await getContainer(client, id);
      await using _ = await held(client, id);
      const criu = () => takeTask(client, id, { exit, imagePath, workPath });
      if (imagePath !== "") {
        await criu();
        return 0;
      }
      const parts = [
        ...(container.image === "" ? [] : [await imagePart(client, container)]),
        ...(container.snapshotKey === "" ? [] : [await layerPart(client, container)]),
        ...(await criu()),
      ];
      const name = `containerd.io/checkpoint/${id}:${stamp(new Date())}`;
      await record(client, name, { id, manifests: parts, annotations: {} });
      await host.out(`${name}\n`);
      return 0;
    }),
  );
};

export const checkpointContainer: CtrAction<typeof containersCheckpoint> = async ({
  flags,
  args: [id = "", ref = ""],
  globals,
}) => {
  if (id === "") throw new CtrError("container id must be provided");
  if (ref === "") throw new CtrError("ref must be provided");
  return await withClient(globals, (unleased) =>
    withLease(unleased, async (client) => {
      const container = await getContainer(client, id);
      await using _ = await held(client, id);
      const { image, runtime, snapshotter } = container;
      const annotations = {
        [annotationNames.image]: image,
        [annotationNames.runtime]: runtime?.name ?? "",
        [annotationNames.snapshotter]: snapshotter,
      };
      const options = runtime?.options;
      const manifests = [
        ...(options === undefined ? [] : [await blobPart(client, runtimeOptionsType, Any.encode(options).finish())]),
        ...(flags.image ? [await imagePart(client, container)] : []),
        ...(flags.task ? await takeTask(client, id, { fileLocks: true }) : []),
        ...(flags.rw ? [await layerPart(client, container)] : []),
      ];
      await record(client, ref, { id, manifests, annotations });
      return 0;
    }),
  );
};

/** A running task stands still until this is disposed of; one that doesn't run, or isn't there, is left alone. */
async function held(client: Client, id: string): Promise<AsyncDisposable> {
  const tasks = client.service(TasksDefinition);
  try {
    const { status } = await (await getProcess(client, id)).state();
    if (status !== Status.RUNNING) return { [Symbol.asyncDispose]: async () => {} };
  } catch (error) {
    if (!isCode(error, "notFound")) throw error;
    return { [Symbol.asyncDispose]: async () => {} };
  }
  await tasks.pause({ containerId: id });
  return {
    [Symbol.asyncDispose]: async () => {
      // One that the checkpoint has ended can't go on.
      await tasks.resume({ containerId: id }).catch(() => {});
    },
  };
}

async function takeTask(client: Client, id: string, options: Partial<CheckpointOptions>): Promise<Descriptor[]> {
  const { descriptors } = await client
    .service(TasksDefinition)
    .checkpoint({ containerId: id, options: encodeAny(optionsType, CheckpointOptions, options) });
  return descriptors.map((descriptor: WireDescriptor) => ({ ...fromWireDescriptor(descriptor), platform: own() }));
}

const own = () => {
  const { architecture, os } = hostPlatform();
  return { architecture, os };
};

async function imagePart(client: Client, { image }: Container): Promise<Descriptor> {
  return (await getImage(client, image)).target;
}

/** What the container has changed of its image. */
async function layerPart(client: Client, { snapshotter, snapshotKey }: Container): Promise<Descriptor> {
  await using trees = new Trees(client, snapshotter);
  const request = {
    left: await trees.parentOf(snapshotKey),
    right: await trees.mountsOf(snapshotKey),
    mediaType: layerType,
    ref: `checkpoint-rw-${snapshotKey}`,
  };
  const { diff } = await client.service(DiffDefinition).diff(request);
  if (diff === undefined) throw new CtrError(`the layer of snapshot "${snapshotKey}" did not come`);
  return { ...fromWireDescriptor(diff), platform: own() };
}

async function blobPart(client: Client, mediaType: string, bytes: Uint8Array): Promise<Descriptor> {
  const { digest, size } = await writeContent(client, `checkpoint-${digestOf(bytes)}`, once(bytes));
  return { mediaType, digest, size, platform: own() };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Writes the index, whose labels keep its parts, and the image that names it. */
async function record(
  client: Client,
  name: string,
  {
    id,
    manifests,
    annotations,
  }: { id: string; manifests: readonly Descriptor[]; annotations: Readonly<Record<string, string>> },
): Promise<void> {
  // Maps in the order of Go's, so that the same container gives the same digest.
  const document = {
    schemaVersion: 2,
    manifests: manifests.map((manifest) =>
      manifest.annotations === undefined ? manifest : { ...manifest, annotations: sorted(manifest.annotations) },
    ),
    annotations: Object.keys(annotations).length === 0 ? undefined : sorted(annotations),
  };
  const bytes = new TextEncoder().encode(JSON.stringify(document));
  const labels = Object.fromEntries(
    manifests.map((manifest, at) => [`containerd.io/gc.ref.content.${at}`, manifest.digest]),
  );
  const { digest, size } = await writeContent(client, `${id}index`, once(bytes), { labels });
  const target = { mediaType: indexType, digest, size: BigInt(size), annotations: {} };
  await client.service(ImagesDefinition).create({ image: { name, target, labels: {} } });
}

/** As containerd's client names checkpoints: month, day, year and the time, in the local zone. */
function stamp(time: Date): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const date = `${two(time.getMonth() + 1)}-${two(time.getDate())}-${time.getFullYear()}`;
  return `${date}-${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
}
