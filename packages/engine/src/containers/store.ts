import { ContainerCreate, ContainerDelete, ContainerUpdate } from "@hull/api/gen/containerd/events/container";
import { nowNanos } from "@hull/api/timestamp";
import { encodeAny } from "@hull/api/typeurl";
import { alreadyExists, invalidArgument, notFound } from "@hull/errors";
import type { Context } from "../context.ts";
import { containerAdaptor } from "../metadata/filters/adaptors.ts";
import { checkIdentifier, ensureNamespace, requireNamespace } from "../metadata/index.ts";
import { updateMapField, validateLabels, withoutEmpty } from "../metadata/labels.ts";
import {
  bigintOf,
  extensionsCell,
  extensionsOf,
  labelsOf,
  listRecords,
  textOf,
  typedBytesOf,
} from "../metadata/rows.ts";
import type { SqlDatabase, SqlRow } from "../metadata/sql.ts";
import type { StoreOptions } from "../metadata/store-options.ts";
import type { Container, ContainerInput, ContainerStore } from "./index.ts";

/** What an update without paths replaces. */
const mutableFields = ["labels", "spec", "extensions", "image", "snapshotkey"];

/** Containers in the metadata. What was created, updated or deleted survives a loss of power when the call returns. */
export class SqlContainerStore implements ContainerStore {
  readonly #options: StoreOptions;
  readonly #sql: SqlDatabase;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.#sql = options.metadata.sql;
  }

  async get(ctx: Context, id: string): Promise<Container> {
    const namespace = requireNamespace(ctx);
    const container = this.#find(namespace, id);
    if (container === undefined) throw notFound(`container "${id}" in namespace "${namespace}"`);
    return container;
  }

  async list(ctx: Context, filters: readonly string[] = []): Promise<Container[]> {
    requireNamespace(ctx);
    return listRecords(this.#sql, ctx, { name: "containers", key: "id" }, containerOf, filters, containerAdaptor);
  }

  async create(ctx: Context, input: ContainerInput): Promise<Container> {
    const namespace = requireNamespace(ctx);
    const now = nowNanos();
    const container = validated({ ...input, createdAt: now, updatedAt: now }, "create container failed validation");
    // What it runs on is on disk before it is there.
    if (container.snapshotKey !== "") await this.#options.metadata.unsynced.settle();
    this.#options.metadata.write(() => {
      ensureNamespace(this.#sql, namespace);
      const added = this.#sql
        .prepare(
          `INSERT OR IGNORE INTO containers (labels, image, spec_type, spec, snapshot_key, extensions, updated_at, namespace, id,
             runtime_name, runtime_options_type, runtime_options, snapshotter, sandbox, created_at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        )
        .run(
          ...mutableCells(container),
          namespace,
          container.id,
          container.runtime.name,
          container.runtime.options?.typeUrl ?? null,
          container.runtime.options?.value ?? null,
          container.snapshotter,
          container.sandbox,
          container.createdAt,
        );
      if (added === 0) throw alreadyExists(`container "${container.id}"`);
    });
    await this.#options.metadata.durable();
    const { id, image, runtime } = container;
    const event = encodeAny("containerd.events.ContainerCreate", ContainerCreate, { id, image, runtime });
    this.#options.events.publish(ctx, "/containers/create", event);
    this.#options.collector?.changed("mutation");
    return container;
  }

  async update(ctx: Context, input: ContainerInput, fieldpaths: readonly string[] = []): Promise<Container> {
    const namespace = requireNamespace(ctx);
    if (input.id === "") throw invalidArgument("Container.ID required");
    const container = this.#options.metadata.write(() => {
      const before = this.#find(namespace, input.id);
      if (before === undefined) throw notFound(`container "${input.id}"`);
      if (fieldpaths.length === 0) checkImmutable(before, input);
      const changed = (fieldpaths.length === 0 ? mutableFields : fieldpaths).reduce<MaybeContainer>(
        (container, path) => withField(container, input, path),
        before,
      );
      const updated = validated({ ...changed, updatedAt: nowNanos() }, "update failed validation");
      this.#sql
        .prepare(
          `UPDATE containers SET labels = ?, image = ?, spec_type = ?, spec = ?, snapshot_key = ?, extensions = ?, updated_at = ?
           WHERE namespace = ? AND id = ?`,
        )
        .run(...mutableCells(updated), namespace, updated.id);
      return updated;
    });
    await this.#options.metadata.durable();
    const { id, image, labels, snapshotKey } = container;
    const event = encodeAny("containerd.events.ContainerUpdate", ContainerUpdate, { id, image, labels, snapshotKey });
    this.#options.events.publish(ctx, "/containers/update", event);
    this.#options.collector?.changed("mutation");
    return container;
  }

  async delete(ctx: Context, id: string): Promise<void> {
    const namespace = requireNamespace(ctx);
    const removed = this.#options.metadata.write(() =>
      this.#sql.prepare("DELETE FROM containers WHERE namespace = ? AND id = ?").run(namespace, id),
    );
    if (removed === 0) throw notFound(`container ${id}`);
    await this.#options.metadata.durable();
    const event = encodeAny("containerd.events.ContainerDelete", ContainerDelete, { id });
    this.#options.events.publish(ctx, "/containers/delete", event);
    this.#options.collector?.changed("deletion");
  }

  #find(namespace: string, id: string): Container | undefined {
    const row = this.#sql.prepare("SELECT * FROM containers WHERE namespace = ? AND id = ?").get(namespace, id);
    return row === undefined ? undefined : containerOf(row);
  }
}

/** A container whose spec may be missing yet. */
type MaybeContainer = Omit<Container, "spec"> & Pick<ContainerInput, "spec">;

function containerOf(row: SqlRow): Container {
  return {
    id: textOf(row.id),
    labels: labelsOf(row.labels),
    image: textOf(row.image),
    runtime: { name: textOf(row.runtime_name), options: typedBytesOf(row.runtime_options_type, row.runtime_options) },
    spec: typedBytesOf(row.spec_type, row.spec) ?? { typeUrl: "", value: new Uint8Array() },
    snapshotter: textOf(row.snapshotter),
    snapshotKey: textOf(row.snapshot_key),
    sandbox: textOf(row.sandbox),
    extensions: extensionsOf(row.extensions),
    createdAt: bigintOf(row.created_at),
    updatedAt: bigintOf(row.updated_at),
  };
}

function mutableCells({ labels, image, spec, snapshotKey, extensions, updatedAt }: Container) {
  return [
    JSON.stringify(labels),
    image,
    spec.typeUrl,
    spec.value,
    snapshotKey,
    extensionsCell(extensions),
    updatedAt,
  ] as const;
}

function checkImmutable(before: Container, input: ContainerInput): void {
  if (input.snapshotter !== before.snapshotter) throw invalidArgument("container.Snapshotter field is immutable");
  if (input.runtime.name !== before.runtime.name) throw invalidArgument("container.Runtime.Name field is immutable");
}

function withField(container: MaybeContainer, input: ContainerInput, path: string): MaybeContainer {
  switch (path) {
    case "spec":
      return { ...container, spec: input.spec };
    case "image":
      return { ...container, image: input.image };
    case "snapshotkey":
      return { ...container, snapshotKey: input.snapshotKey };
  }
  const labels = updateMapField("labels", path, container.labels, input.labels);
  if (labels !== undefined) return { ...container, labels };
  const extensions = updateMapField("extensions", path, container.extensions, input.extensions);
  if (extensions !== undefined) return { ...container, extensions };
  throw invalidArgument(`cannot update "${path}" field on "${container.id}"`);
}

/** The container without empty labels. @throws InvalidArgument, its text led by `what` */
function validated(container: MaybeContainer, what: string): Container {
  checkIdentifier(container.id, `${what}: container.ID`);
  validateLabels(container.labels, `${what}: containers.Labels`);
  const { spec } = container;
  if (Object.hasOwn(container.extensions, "")) {
    throw invalidArgument(`${what}: container.Extension keys must not be zero-length`);
  }
  if (container.runtime.name === "") throw invalidArgument(`${what}: container.Runtime.Name must be set`);
  if (spec === undefined) throw invalidArgument(`${what}: container.Spec must be set`);
  if (container.snapshotKey !== "" && container.snapshotter === "") {
    throw invalidArgument(`${what}: container.Snapshotter must be set if container.SnapshotKey is set`);
  }
  return { ...container, spec, labels: withoutEmpty(container.labels) };
}
