/** Writing what a containerd had into hull's metadata, in one transaction. */

import type { Descriptor } from "@hull/oci/descriptor";
import type { TypedBytes } from "../labels.ts";
import { extensionsCell } from "../metadata/rows.ts";
import type { SqlDatabase } from "../metadata/sql.ts";
import type { ContainerdRecords, SnapshotRecord } from "./records.ts";

/** Inserts all records. To be called in a transaction. @returns the id that names each snapshot's directory */
export function writeRecords(sql: SqlDatabase, records: ContainerdRecords): Map<SnapshotRecord, number> {
  const insert = (table: string, row: Readonly<Record<string, string | bigint | number | Uint8Array | null>>): void => {
    const columns = Object.keys(row);
    const places = columns.map(() => "?").join(", ");
    sql.prepare(`INSERT INTO ${table} (${columns.join(", ")}) VALUES (${places})`).run(...Object.values(row));
  };
  for (const { name, labels } of records.namespaces) insert("namespaces", { name, labels: JSON.stringify(labels) });
  for (const image of records.images) {
    insert("images", { ...common(image), name: image.name, ...targetCells(image.target) });
  }
  for (const container of records.containers) {
    insert("containers", {
      ...common(container),
      id: container.id,
      image: container.image,
      ...runtimeCells(container.runtime),
      ...specCells(container.spec, ""),
      snapshotter: container.snapshotter,
      snapshot_key: container.snapshotKey,
      sandbox: container.sandbox,
      extensions: extensionsCell(container.extensions),
    });
  }
  for (const sandbox of records.sandboxes) {
    insert("sandboxes", {
      ...common(sandbox),
      id: sandbox.id,
      ...runtimeCells(sandbox.runtime),
      ...specCells(sandbox.spec, null),
      sandboxer: sandbox.sandboxer,
      extensions: extensionsCell(sandbox.extensions),
    });
  }
  for (const blob of records.blobs) insert("blobs", { ...common(blob), digest: blob.digest, size: blob.size });
  for (const { namespace, id, labels, createdAt, resources } of records.leases) {
    insert("leases", { namespace, id, labels: JSON.stringify(labels), created_at: createdAt });
    for (const resource of resources) insert("lease_resources", { namespace, lease: id, ...resource });
  }
  return writeSnapshots(sql, records.snapshots);
}

function writeSnapshots(sql: SqlDatabase, snapshots: readonly SnapshotRecord[]): Map<SnapshotRecord, number> {
  const nameOf = ({ namespace, snapshotter }: SnapshotRecord, key: string): string =>
    JSON.stringify([namespace, snapshotter, key]);
  const byName = new Map(snapshots.map((snapshot) => [nameOf(snapshot, snapshot.key), snapshot]));
  const ids = new Map<SnapshotRecord, number>();
  const statement = sql.prepare(
    `INSERT INTO snapshots (namespace, snapshotter, key, parent_id, kind, labels, size, inodes, created_at, updated_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`,
  );
  const write = (snapshot: SnapshotRecord): number => {
    const done = ids.get(snapshot);
    if (done !== undefined) return done;
    // Parents first: a chain is as long as an image has layers.
    const parent = snapshot.parent === "" ? undefined : byName.get(nameOf(snapshot, snapshot.parent));
    const { namespace, snapshotter, key, kind, labels, usage, createdAt, updatedAt } = snapshot;
    const row = statement.get(
      namespace,
      snapshotter,
      key,
      parent === undefined ? null : write(parent),
      kind,
      JSON.stringify(labels),
      usage.size,
      usage.inodes,
      createdAt,
      updatedAt,
    );
    const id = Number(row?.id);
    ids.set(snapshot, id);
    return id;
  };
  for (const snapshot of snapshots) write(snapshot);
  return ids;
}

type Recorded = { namespace: string; labels: object; createdAt: bigint; updatedAt: bigint };

function common({ namespace, labels, createdAt, updatedAt }: Recorded) {
  return { namespace, labels: JSON.stringify(labels), created_at: createdAt, updated_at: updatedAt };
}

function targetCells(target: Descriptor) {
  return {
    target_digest: target.digest,
    target_media_type: target.mediaType,
    target_size: target.size,
    target: JSON.stringify(target),
  };
}

function runtimeCells({ name, options }: { name: string; options: TypedBytes | undefined }) {
  return {
    runtime_name: name,
    runtime_options_type: options?.typeUrl ?? null,
    runtime_options: options?.value ?? null,
  };
}

function specCells(spec: TypedBytes | undefined, none: "" | null) {
  return { spec_type: spec?.typeUrl ?? none, spec: spec?.value ?? (none === null ? null : new Uint8Array()) };
}
