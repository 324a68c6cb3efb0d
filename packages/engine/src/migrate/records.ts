/**
 * What a containerd's databases hold, read whole.
 *
 * Source: containerd core/metadata/buckets.go and boltutil (names and encodings of the metadata), core/snapshots/storage/bolt.go (of the
 * snapshotters); checked against files that containerd 1.6 and 2.1 wrote.
 */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { failedPrecondition, notFound } from "@hull/errors";
import type { Descriptor } from "@hull/oci/descriptor";
import type { Labels, Nanoseconds, TypedBytes } from "../labels.ts";
import { BoltDatabase, type Bucket } from "./bolt/index.ts";
import { damaged } from "./bolt/page.ts";
import { goSigned, goTime, goUnsigned, typedValue } from "./go-values.ts";

/** What every record has. */
interface Common {
  readonly namespace: string;
  readonly labels: Labels;
  readonly createdAt: Nanoseconds;
  readonly updatedAt: Nanoseconds;
}

interface Runtime {
  readonly name: string;
  readonly options: TypedBytes | undefined;
}

export interface ImageRecord extends Common {
  readonly name: string;
  readonly target: Descriptor;
}

export interface ContainerRecord extends Common {
  readonly id: string;
  readonly image: string;
  readonly runtime: Runtime;
  readonly spec: TypedBytes | undefined;
  readonly snapshotter: string;
  readonly snapshotKey: string;
  readonly sandbox: string;
  readonly extensions: Readonly<Record<string, TypedBytes>>;
}

export interface SandboxRecord extends Common {
  readonly id: string;
  readonly runtime: Runtime;
  readonly spec: TypedBytes | undefined;
  readonly sandboxer: string;
  readonly extensions: Readonly<Record<string, TypedBytes>>;
}

export interface BlobRecord extends Common {
  readonly digest: string;
  /** bytes */
  readonly size: number;
}

export interface SnapshotRecord extends Common {
  readonly snapshotter: string;
  readonly key: string;
  /** Key of the parent; empty for a base. */
  readonly parent: string;
  readonly kind: "active" | "view" | "committed";
  /** The name of its directory. */
  readonly directory: string;
  readonly usage: { readonly size: number; readonly inodes: number };
}

export interface LeaseRecord {
  readonly namespace: string;
  readonly id: string;
  readonly labels: Labels;
  readonly createdAt: Nanoseconds;
  readonly resources: readonly { readonly type: string; readonly id: string }[];
}

export interface ContainerdRecords {
  readonly namespaces: readonly { readonly name: string; readonly labels: Labels }[];
  readonly images: readonly ImageRecord[];
  readonly containers: readonly ContainerRecord[];
  readonly sandboxes: readonly SandboxRecord[];
  readonly blobs: readonly BlobRecord[];
  readonly snapshots: readonly SnapshotRecord[];
  readonly leases: readonly LeaseRecord[];
}

/** The folders of a containerd's root that hull has as well. */
export const folders = {
  metadata: "io.containerd.metadata.v1.bolt",
  content: "io.containerd.content.v1.content",
  snapshotter: (name: string): string => `io.containerd.snapshotter.v1.${name}`,
};

/**
 * Reads the databases of a containerd's root.
 *
 * @throws NotFound if it is none; FailedPrecondition if a containerd works on it, or its records are in an older form;
 *   InvalidArgument if a database is damaged
 */
export function readRecords(root: string): ContainerdRecords {
  const file = join(root, folders.metadata, "meta.db");
  if (!existsSync(file)) throw notFound(`"${root}" is no containerd's root: it has no "${folders.metadata}/meta.db"`);
  using database = BoltDatabase.open(file);
  const top = database.root.bucket("v1");
  if (top === undefined) throw failedPrecondition(`"${file}" has no records of version 1: start containerd on it once`);
  const all = [...top.buckets()];
  const each = <T>(read: (namespace: string, bucket: Bucket) => Iterable<T>): T[] =>
    all.flatMap(([namespace, bucket]) => [...read(namespace, bucket)]);
  return {
    namespaces: all.map(([name, bucket]) => ({ name, labels: textsIn(bucket, "labels") })),
    images: each(images),
    containers: each(containers),
    sandboxes: each(sandboxes),
    blobs: each(blobs),
    snapshots: snapshots(root, all),
    leases: each(leases),
  };
}

function* images(namespace: string, bucket: Bucket): Generator<ImageRecord> {
  for (const [name, image] of children(bucket, "images")) {
    const target = image.bucket("target");
    const annotations = textsIn(image, "annotations");
    yield {
      ...common(namespace, image),
      name,
      target: {
        mediaType: textOf(target?.value("mediatype")),
        digest: textOf(target?.value("digest")),
        size: goSigned(target?.value("size")),
        ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
      },
    };
  }
}

function* containers(namespace: string, bucket: Bucket): Generator<ContainerRecord> {
  for (const [id, container] of children(bucket, "containers")) {
    yield {
      ...common(namespace, container),
      id,
      image: textOf(container.value("image")),
      runtime: runtimeOf(container),
      spec: typedValue(container.value("spec")),
      snapshotter: textOf(container.value("snapshotter")),
      snapshotKey: textOf(container.value("snapshotKey")),
      sandbox: textOf(container.value("sandboxid")),
      extensions: extensionsOf(container),
    };
  }
}

function* sandboxes(namespace: string, bucket: Bucket): Generator<SandboxRecord> {
  for (const [id, sandbox] of children(bucket, "sandboxes")) {
    yield {
      ...common(namespace, sandbox),
      id,
      runtime: runtimeOf(sandbox),
      spec: typedValue(sandbox.value("spec")),
      sandboxer: textOf(sandbox.value("sandboxer")),
      extensions: extensionsOf(sandbox),
    };
  }
}

function* blobs(namespace: string, bucket: Bucket): Generator<BlobRecord> {
  const content = bucket.bucket("content");
  if (content === undefined) return;
  for (const [digest, blob] of children(content, "blob")) {
    yield { ...common(namespace, blob), digest, size: goSigned(blob.value("size")) };
  }
}

function* leases(namespace: string, bucket: Bucket): Generator<LeaseRecord> {
  for (const [id, lease] of children(bucket, "leases")) {
    const { labels, createdAt } = common(namespace, lease);
    const held = ["content", "ingests", "images"].flatMap((type) =>
      keysIn(lease.bucket(type)).map((name) => ({ type, id: name })),
    );
    const ofSnapshotters = [...children(lease, "snapshots")].flatMap(([snapshotter, keys]) =>
      keysIn(keys).map((key) => ({ type: `snapshots/${snapshotter}`, id: key })),
    );
    yield { namespace, id, labels, createdAt, resources: [...held, ...ofSnapshotters] };
  }
}

/** A snapshot is recorded twice: with its labels in the metadata, with its kind and directory by its snapshotter. */
function snapshots(root: string, namespaces: readonly (readonly [string, Bucket])[]): SnapshotRecord[] {
  using opened = new DisposableStack();
  const own = new Map<string, Bucket | undefined>();
  const ownRecords = (snapshotter: string): Bucket | undefined => {
    if (!own.has(snapshotter)) {
      const file = join(root, folders.snapshotter(snapshotter), "metadata.db");
      const database = existsSync(file) ? opened.use(BoltDatabase.open(file)) : undefined;
      own.set(snapshotter, database?.root.bucket("v1")?.bucket("snapshots"));
    }
    return own.get(snapshotter);
  };
  return namespaces.flatMap(([namespace, bucket]) =>
    [...children(bucket, "snapshots")].flatMap(([snapshotter, keys]) =>
      [...keys.buckets()].map(([key, snapshot]) => {
        const name = textOf(snapshot.value("name"));
        const files = ownRecords(snapshotter)?.bucket(name);
        if (files === undefined) throw damaged(`snapshotter "${snapshotter}" doesn't know of snapshot "${name}"`);
        return {
          ...common(namespace, snapshot),
          snapshotter,
          key,
          parent: textOf(snapshot.value("parent")),
          kind: kindOf(files.value("kind")),
          directory: String(goUnsigned(files.value("id"))),
          usage: { size: goSigned(files.value("size")), inodes: goSigned(files.value("inodes")) },
        };
      }),
    ),
  );
}

/** Source: containerd core/snapshots/snapshotter.go, the order of its constants. */
function kindOf(bytes: Uint8Array | undefined): SnapshotRecord["kind"] {
  switch (bytes?.[0]) {
    case 1:
      return "view";
    case 2:
      return "active";
    case 3:
      return "committed";
  }
  throw damaged("a snapshot is of no known kind");
}

function common(namespace: string, bucket: Bucket): Common {
  return {
    namespace,
    labels: textsIn(bucket, "labels"),
    createdAt: goTime(bucket.value("createdat")),
    updatedAt: goTime(bucket.value("updatedat")),
  };
}

function runtimeOf(bucket: Bucket): Runtime {
  const runtime = bucket.bucket("runtime");
  return { name: textOf(runtime?.value("name")), options: typedValue(runtime?.value("options")) };
}

function extensionsOf(bucket: Bucket): Record<string, TypedBytes> {
  const values = [...(bucket.bucket("extensions")?.values() ?? [])];
  return Object.fromEntries(
    values.map(([key, bytes]) => [key, typedValue(bytes) ?? { typeUrl: "", value: new Uint8Array() }]),
  );
}

function textsIn(bucket: Bucket, name: string): Labels {
  const values = [...(bucket.bucket(name)?.values() ?? [])];
  return Object.fromEntries(values.map(([key, value]) => [key, textOf(value)]));
}

function keysIn(bucket: Bucket | undefined): string[] {
  return bucket === undefined ? [] : [...bucket.values()].map(([key]) => key);
}

function children(bucket: Bucket, name: string): Iterable<readonly [string, Bucket]> {
  return bucket.bucket(name)?.buckets() ?? [];
}

function textOf(bytes: Uint8Array | undefined): string {
  return new TextDecoder().decode(bytes);
}
