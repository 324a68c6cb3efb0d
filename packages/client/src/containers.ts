import { type Container, ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import type { Mount } from "@hull/api/gen/containerd/types/mount";
import type { Any } from "@hull/api/gen/google/protobuf/any";
import { decodeJsonAny, encodeJsonAny, jsonTypes } from "@hull/api/typeurl";
import { internal, isCode } from "@hull/errors";
import type { Spec } from "@hull/oci/spec";
import type { Client } from "./client.ts";
import { type PlatformImage, snapshotOf } from "./images.ts";
import { withLease } from "./lease.ts";
import type { IdMappings } from "./remapped-snapshot.ts";

export type { Container } from "@hull/api/gen/containerd/services/containers/v1/containers";

/** Where a container's root file system comes from. */
export interface ContainerRootfs {
  readonly image: PlatformImage;
  /** The image's name, for the record. */
  readonly imageName: string;
  readonly snapshotter: string;
  /** Of the container's snapshot. */
  readonly snapshotLabels?: Readonly<Record<string, string>>;
  /** Ids of a user namespace that the files are to belong to: copies the image's files once for each mapping. */
  readonly remap?: IdMappings;
}

export interface CreateContainerOptions {
  readonly id: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly runtime: { readonly name: string; readonly options?: Any };
  /** None for a container whose spec names a directory of the host. */
  readonly rootfs?: ContainerRootfs;
  /** What a client keeps with the container's record, by names of its own. */
  readonly extensions?: Readonly<Record<string, Any>>;
  /** Id of the sandbox that it is to run in. */
  readonly sandbox?: string | undefined;
  /** Makes the spec; `mounts` are the container's root file system, empty without one. */
  spec(mounts: readonly Mount[]): Spec | Promise<Spec>;
}

/**
 * Makes a container: its snapshot, which has the container's id for a key, and its record. If a step fails, what was made is removed.
 * @throws AlreadyExists, NotFound
 */
export function createContainer(client: Client, options: CreateContainerOptions): Promise<Container> {
  return withLease(client, async (leased) => {
    const { id, rootfs } = options;
    await using undo = new AsyncDisposableStack();
    const mounts = rootfs === undefined ? [] : await prepareSnapshot(leased, id, rootfs, undo);
    const spec = encodeJsonAny(jsonTypes.spec, await options.spec(mounts));
    const { container } = await leased.service(ContainersDefinition).create({
      container: {
        id,
        labels: { ...options.labels },
        image: rootfs?.imageName ?? "",
        runtime: { name: options.runtime.name, options: options.runtime.options },
        spec,
        snapshotter: rootfs?.snapshotter ?? "",
        snapshotKey: rootfs === undefined ? "" : id,
        extensions: { ...options.extensions },
        sandbox: options.sandbox ?? "",
      },
    });
    undo.move();
    if (container === undefined) throw internal(`the record of container "${id}" did not come back`);
    return container;
  });
}

async function prepareSnapshot(
  client: Client,
  id: string,
  { image, snapshotter, snapshotLabels = {}, remap }: ContainerRootfs,
  undo: AsyncDisposableStack,
): Promise<Mount[]> {
  const snapshots = client.service(SnapshotsDefinition);
  const parent = await parentOf(client, { snapshotter, parent: snapshotOf(image), remap });
  const { mounts } = await snapshots.prepare({
    snapshotter,
    key: id,
    parent,
    labels: snapshotLabels,
  });
  undo.defer(async () => {
    await snapshots.remove({ snapshotter, key: id });
  });
  return mounts;
}

async function parentOf(
  client: Client,
  { snapshotter, parent, remap }: { snapshotter: string; parent: string; remap: IdMappings | undefined },
): Promise<string> {
  if (remap === undefined) return parent;
  const { remappedSnapshot } = await import("./remapped-snapshot.ts");
  return await remappedSnapshot(client, { snapshotter, parent, mappings: remap });
}

/** @throws NotFound */
export async function getContainer(client: Client, id: string): Promise<Container> {
  const { container } = await client.service(ContainersDefinition).get({ id });
  if (container === undefined) throw internal(`the record of container "${id}" did not come`);
  return container;
}

/** Removes a container's record and, unless told otherwise, its snapshot. @throws NotFound; FailedPrecondition while it has a task */
export async function removeContainer(
  client: Client,
  { id, snapshotter, snapshotKey }: Container,
  { keepSnapshot = false }: { keepSnapshot?: boolean } = {},
): Promise<void> {
  if (!keepSnapshot && snapshotKey !== "") {
    await client
      .service(SnapshotsDefinition)
      .remove({ snapshotter, key: snapshotKey })
      .catch((error: unknown) => {
        if (!isCode(error, "notFound")) throw error;
      });
  }
  await client.service(ContainersDefinition).delete({ id });
}

/** The runtime spec in a container's record. Its shape is as its maker wrote it. */
export function specOf({ spec }: Container): Spec | undefined {
  return spec === undefined ? undefined : (decodeJsonAny(spec, jsonTypes.spec) as Spec);
}
