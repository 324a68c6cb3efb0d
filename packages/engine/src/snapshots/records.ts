import { SnapshotCommit, SnapshotPrepare, SnapshotRemove } from "@hull/api/gen/containerd/events/snapshot";
import { alreadyExists, failedPrecondition, type HullError, invalidArgument, notFound } from "@hull/errors";
import type { Context } from "../context.ts";
import type { EventExchange } from "../events/index.ts";
import type { Labels, Nanoseconds } from "../labels.ts";
import { snapshotAdaptor } from "../metadata/filters/adaptors.ts";
import { compileFilters } from "../metadata/filters/index.ts";
import { addToLease, ensureNamespace, type Metadata, requireNamespace } from "../metadata/index.ts";
import { updateLabels, validateLabels, withoutEmpty } from "../metadata/labels.ts";
import { bigintOf, labelsOf, textOf } from "../metadata/rows.ts";
import type { SqlDatabase, SqlRow } from "../metadata/sql.ts";
import type { SnapshotInfo, SnapshotKind, Usage } from "./index.ts";

/** Label of a client that asks whether the snapshot it names is here already, while preparing one to make it. */
const targetLabel = "containerd.io/snapshot.ref";

/** What every snapshotter is made with. */
export interface SnapshotterOptions {
  metadata: Metadata;
  events: Pick<EventExchange, "publish">;
  /** The directory that the snapshotter owns. */
  root: string;
  /** Told of every deletion and change, so that a collection may be scheduled. */
  changed?: (kind: "deletion" | "mutation") => void;
}

/** A snapshot as its directory needs it. */
export interface SnapshotRecord {
  /** Names the directory; never used twice. */
  id: number;
  kind: SnapshotKind;
  /** Ids of the parents, the nearest first. */
  parents: readonly number[];
  /** What another process, which keeps the snapshot, knows it by; empty if hull keeps it itself. */
  backend: string;
}

/** What a new snapshot is. */
export interface NewSnapshot {
  key: string;
  /** empty for a base */
  parent: string;
  kind: "active" | "view";
  labels?: Labels;
  /** From `reserve`; a new one if absent. */
  id?: number;
  /** See `SnapshotRecord`. */
  backend?: string;
}

/**
 * The records of one snapshotter's snapshots: names, parents, kinds, labels, usage, leases, events. All that snapshotters have in common
 * but the files.
 *
 * Where a method takes a step with files (`withFiles`), it runs inside the transaction: if it throws, nothing has happened. It can't await.
 */
export class SnapshotRecords {
  readonly #snapshotter: string;
  readonly #root: string | undefined;
  readonly #metadata: Metadata;
  readonly #sql: SqlDatabase;
  readonly #events: Pick<EventExchange, "publish">;
  readonly #changed: (kind: "deletion" | "mutation") => void;

  /** @param options without a root, the files are another process's, and its to keep */
  constructor(snapshotter: string, options: Omit<SnapshotterOptions, "root"> & { root?: string }) {
    const { metadata, events, root, changed = () => undefined } = options;
    this.#root = root;
    this.#snapshotter = snapshotter;
    this.#metadata = metadata;
    this.#sql = metadata.sql;
    this.#events = events;
    this.#changed = changed;
  }

  /** @throws NotFound */
  stat(ctx: Context, key: string): SnapshotInfo {
    return infoOf(this.#row(requireNamespace(ctx), key));
  }

  /** The snapshot's place in the tree. @throws NotFound */
  get(ctx: Context, key: string): SnapshotRecord {
    return this.#recordOf(this.#row(requireNamespace(ctx), key));
  }

  /** As `get`, without the parents: what is enough to measure one. @throws NotFound */
  place(ctx: Context, key: string): Omit<SnapshotRecord, "parents"> {
    const row = this.#sql
      .prepare("SELECT id, kind, backend FROM snapshots WHERE namespace = ? AND snapshotter = ? AND key = ?")
      .get(requireNamespace(ctx), this.#snapshotter, key);
    if (row === undefined) throw missing(key);
    return placeOf(row);
  }

  /** As `get`, of one that can be mounted. @throws NotFound; FailedPrecondition for a committed one */
  getMountable(ctx: Context, key: string): SnapshotRecord {
    const record = this.get(ctx, key);
    if (record.kind === "committed") {
      throw failedPrecondition(`failed to get active mount: requested snapshot ${key} not active or view`);
    }
    return record;
  }

  /** What was measured at commit; nothing for the others. @throws NotFound */
  committedUsage(ctx: Context, key: string): Usage {
    const { size, inodes } = this.#row(requireNamespace(ctx), key);
    return { size: Number(size), inodes: Number(inodes) };
  }

  /**
   * Would `insert` pass? For snapshotters that have long work to do before it.
   * @throws as `insert`; the parent's record is given, undefined for a base
   */
  check(ctx: Context, snapshot: NewSnapshot): SnapshotRecord | undefined {
    const namespace = requireNamespace(ctx);
    validateLabels(snapshot.labels ?? {}, "info.Labels");
    if (snapshot.key === "") throw invalidArgument("a snapshot needs a key");
    if (this.#find(namespace, snapshot.key) !== undefined) throw alreadyExists(`snapshot "${snapshot.key}"`);
    return snapshot.parent === "" ? undefined : this.#recordOf(this.#parentRow(namespace, snapshot.parent));
  }

  /**
   * Records an active snapshot or a view.
   * @throws AlreadyExists; NotFound, InvalidArgument for a parent that doesn't exist or isn't committed
   */
  insert(ctx: Context, snapshot: NewSnapshot, withFiles: (record: SnapshotRecord) => void): SnapshotRecord {
    const { key, parent, kind, labels = {} } = snapshot;
    const target = kind === "active" ? (labels[targetLabel] ?? "") : "";
    const namespace = requireNamespace(ctx);
    const inserted = this.#metadata.write(() => {
      if (target !== "" && this.#find(namespace, target) !== undefined) {
        addToLease(this.#sql, ctx, this.#leaseType, target);
        return undefined;
      }
      const above = this.check(ctx, snapshot);
      ensureNamespace(this.#sql, namespace);
      const time = now();
      const row = this.#sql
        .prepare(
          `INSERT INTO snapshots (id, backend, namespace, snapshotter, key, parent_id, kind, labels, created_at, updated_at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`,
        )
        .get(
          snapshot.id ?? null,
          snapshot.backend ?? null,
          namespace,
          this.#snapshotter,
          key,
          above?.id ?? null,
          kind,
          JSON.stringify(withoutEmpty(labels)),
          time,
          time,
        );
      addToLease(this.#sql, ctx, this.#leaseType, key);
      const parents = above === undefined ? [] : [above.id, ...above.parents];
      const record: SnapshotRecord = { id: Number(row?.id), kind, parents, backend: snapshot.backend ?? "" };
      withFiles(record);
      return record;
    });
    if (inserted === undefined) throw alreadyExists(`target snapshot "${target}"`);
    if (kind === "active") {
      this.#publish(namespace, "/snapshot/prepare", "containerd.events.SnapshotPrepare", () =>
        SnapshotPrepare.encode({ key, parent, snapshotter: this.#snapshotter }).finish(),
      );
    }
    this.#changed("mutation");
    return inserted;
  }

  /** An id that no snapshot has or will get: for a snapshot whose name elsewhere has it, made before its record. */
  reserve(): number {
    const row = this.#metadata.write(() => {
      const isName = "name = 'snapshots'";
      // The database makes the row at the first insertion: there may have been none.
      this.#sql
        .prepare(
          `INSERT INTO sqlite_sequence SELECT 'snapshots', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE ${isName})`,
        )
        .run();
      return this.#sql.prepare(`UPDATE sqlite_sequence SET seq = seq + 1 WHERE ${isName} RETURNING seq`).get();
    });
    return Number(row?.seq);
  }

  /**
   * Records a committed snapshot that the process which keeps it has had all along, or made by itself.
   * @throws AlreadyExists; NotFound, InvalidArgument for a parent that doesn't exist or isn't committed
   */
  adopt(
    ctx: Context,
    { key, parent, labels = {}, backend }: Omit<NewSnapshot, "kind" | "id"> & { backend: string },
  ): void {
    const namespace = requireNamespace(ctx);
    this.#metadata.write(() => {
      const above = this.check(ctx, { key, parent, kind: "view", labels });
      ensureNamespace(this.#sql, namespace);
      const time = now();
      this.#sql
        .prepare(
          `INSERT INTO snapshots (backend, namespace, snapshotter, key, parent_id, kind, labels, created_at, updated_at)
           VALUES (?, ?, ?, ?, ?, 'committed', ?, ?, ?)`,
        )
        .run(
          backend,
          namespace,
          this.#snapshotter,
          key,
          above?.id ?? null,
          JSON.stringify(withoutEmpty(labels)),
          time,
          time,
        );
      addToLease(this.#sql, ctx, this.#leaseType, key);
    });
    this.#changed("mutation");
  }

  /** What other processes know this snapshotter's snapshots by, in all namespaces. */
  backends(): ReadonlySet<string> {
    const rows = this.#sql.prepare("SELECT backend FROM snapshots WHERE snapshotter = ?").all(this.#snapshotter);
    return new Set(rows.map(({ backend }) => String(backend ?? "")));
  }

  /** All namespaces there are. */
  namespaces(): string[] {
    return this.#sql
      .prepare("SELECT name FROM namespaces ORDER BY name")
      .all()
      .map(({ name }) => textOf(name));
  }

  /**
   * Makes the active snapshot `key` the committed one `name`. Its labels are those given here.
   * @throws NotFound; AlreadyExists; FailedPrecondition if it isn't active or has another parent than the one given
   */
  commit(
    ctx: Context,
    {
      key,
      name,
      labels = {},
      parent = "",
      usage,
      backend,
    }: { key: string; name: string; labels?: Labels; parent?: string; usage: Usage; backend?: string },
    withFiles: () => void = () => undefined,
  ): void {
    const namespace = requireNamespace(ctx);
    validateLabels(labels, "info.Labels");
    if (name === "") throw invalidArgument(`the committed snapshot of "${key}" needs a name`);
    this.#metadata.write(() => {
      const row = this.#row(namespace, key);
      if (name !== key && this.#find(namespace, name) !== undefined) throw alreadyExists(`snapshot "${name}"`);
      if (row.kind !== "active") throw failedPrecondition(`failed to commit snapshot: snapshot "${key}" is not active`);
      let parentId = row.parent_id ?? null;
      if (parent !== "" && parent !== row.parent) {
        if (parentId !== null) {
          throw failedPrecondition(
            `failed to commit snapshot: "${key}" has the parent "${row.parent}", not "${parent}"`,
          );
        }
        parentId = bigintOf(this.#parentRow(namespace, parent).id);
      }
      const time = now();
      this.#sql
        .prepare(
          `UPDATE snapshots SET key = ?, kind = 'committed', parent_id = ?, labels = ?, size = ?, inodes = ?,
             created_at = ?, updated_at = ?, backend = coalesce(?, backend) WHERE id = ?`,
        )
        .run(
          name,
          parentId,
          JSON.stringify(withoutEmpty(labels)),
          usage.size,
          usage.inodes,
          time,
          time,
          backend ?? null,
          bigintOf(row.id),
        );
      if (this.#root !== undefined) this.#metadata.unsynced.note(bigintOf(row.id), this.#root);
      this.#endLeases(namespace, key);
      addToLease(this.#sql, ctx, this.#leaseType, name);
      withFiles();
    });
    this.#publish(namespace, "/snapshot/commit", "containerd.events.SnapshotCommit", () =>
      SnapshotCommit.encode({ key, name, snapshotter: this.#snapshotter }).finish(),
    );
    this.#changed("mutation");
  }

  /** Gives the record that was. @throws NotFound; FailedPrecondition while it has children */
  remove(ctx: Context, key: string): SnapshotRecord {
    const namespace = requireNamespace(ctx);
    const removed = this.#metadata.write(() => {
      const row = this.#row(namespace, key);
      const child = this.#sql.prepare("SELECT 1 FROM snapshots WHERE parent_id = ? LIMIT 1").get(bigintOf(row.id));
      if (child !== undefined) {
        throw failedPrecondition("cannot remove snapshot with child"); // containerd's text: the client names the key
      }
      this.#sql.prepare("DELETE FROM snapshots WHERE id = ?").run(bigintOf(row.id));
      this.#endLeases(namespace, key);
      return row;
    });
    this.#publish(namespace, "/snapshot/remove", "containerd.events.SnapshotRemove", () =>
      SnapshotRemove.encode({ key, snapshotter: this.#snapshotter }).finish(),
    );
    this.#changed("deletion");
    return { ...placeOf(removed), parents: [] };
  }

  /** @throws NotFound; InvalidArgument */
  update(ctx: Context, key: string, labels: Labels, fieldpaths: readonly string[]): SnapshotInfo {
    const namespace = requireNamespace(ctx);
    const updated = this.#metadata.write(() => {
      const row = this.#row(namespace, key);
      const info = infoOf(row);
      const changed = {
        ...info,
        labels: updateLabels(info.labels, labels, fieldpaths, `snapshot "${key}"`, "info.Labels"),
        updatedAt: now(),
      };
      this.#sql
        .prepare("UPDATE snapshots SET labels = ?, updated_at = ? WHERE id = ?")
        .run(JSON.stringify(changed.labels), changed.updatedAt, bigintOf(row.id));
      return changed;
    });
    this.#changed("mutation");
    return updated;
  }

  /** Those that match any of `filters` (all if empty), by key; `present` completes what is shown and filtered. */
  async *walk(
    ctx: Context,
    filters: readonly string[],
    present: (info: SnapshotInfo, record: () => SnapshotRecord) => SnapshotInfo,
  ): AsyncGenerator<SnapshotInfo> {
    const namespace = requireNamespace(ctx);
    const matches = compileFilters(filters, snapshotAdaptor);
    const page = this.#sql.prepare(`${select} AND s.key > ? ORDER BY s.key LIMIT 200`);
    for (let last = ""; ; ) {
      ctx.signal.throwIfAborted();
      const rows = page.all(namespace, this.#snapshotter, last);
      if (rows.length === 0) return;
      for (const row of rows) {
        const info = present(infoOf(row), () => this.#recordOf(row));
        last = info.name;
        if (matches(info)) yield info;
      }
      await new Promise(setImmediate);
    }
  }

  /** Whether a snapshot of this snapshotter has this id. */
  owns(id: number): boolean {
    if (!Number.isSafeInteger(id)) return false;
    return (
      this.#sql.prepare("SELECT 1 FROM snapshots WHERE id = ? AND snapshotter = ?").get(id, this.#snapshotter) !==
      undefined
    );
  }

  /** Waits until the records as they are now survive a loss of power: before files of removed ones go, lest those come back without. */
  durable(): Promise<void> {
    return this.#metadata.durable();
  }

  get #leaseType(): string {
    return `snapshots/${this.#snapshotter}`;
  }

  #endLeases(namespace: string, key: string): void {
    this.#sql
      .prepare("DELETE FROM lease_resources WHERE namespace = ? AND type = ? AND id = ?")
      .run(namespace, this.#leaseType, key);
  }

  #publish(namespace: string, topic: string, typeUrl: string, encode: () => Uint8Array): void {
    this.#events.publish({ namespace }, topic, { typeUrl, value: encode() });
  }

  #find(namespace: string, key: string): SqlRow | undefined {
    return this.#sql.prepare(`${select} AND s.key = ?`).get(namespace, this.#snapshotter, key);
  }

  #row(namespace: string, key: string): SqlRow {
    const row = this.#find(namespace, key);
    if (row === undefined) throw missing(key);
    return row;
  }

  #parentRow(namespace: string, parent: string): SqlRow {
    const row = this.#find(namespace, parent);
    if (row === undefined) throw notFound(`parent snapshot ${parent} does not exist`);
    if (row.kind !== "committed") {
      throw invalidArgument(`failed to create snapshot: parent "${parent}" is not committed snapshot`);
    }
    return row;
  }

  #recordOf(row: SqlRow): SnapshotRecord {
    const parents = this.#sql
      .prepare(
        `WITH RECURSIVE chain (id, parent_id, depth) AS (
           SELECT id, parent_id, 0 FROM snapshots WHERE id = ?
           UNION ALL SELECT s.id, s.parent_id, depth + 1 FROM snapshots s JOIN chain ON s.id = chain.parent_id)
         SELECT id FROM chain ORDER BY depth`,
      )
      .all(row.parent_id ?? null)
      .map(({ id }) => Number(id));
    return { ...placeOf(row), parents };
  }
}

const select =
  "SELECT s.*, p.key AS parent FROM snapshots s LEFT JOIN snapshots p ON p.id = s.parent_id WHERE s.namespace = ? AND s.snapshotter = ?";

const missing = (key: string): HullError => notFound(`snapshot ${key} does not exist`);

const now = (): Nanoseconds => BigInt(Date.now()) * 1_000_000n;

function kindOf({ kind }: SqlRow): SnapshotKind {
  return kind === "active" || kind === "view" ? kind : "committed";
}

function placeOf(row: SqlRow): Omit<SnapshotRecord, "parents"> {
  return { id: Number(row.id), kind: kindOf(row), backend: String(row.backend ?? "") };
}

function infoOf(row: SqlRow): SnapshotInfo {
  return {
    name: textOf(row.key),
    parent: String(row.parent ?? ""),
    kind: kindOf(row),
    labels: labelsOf(row.labels),
    createdAt: bigintOf(row.created_at),
    updatedAt: bigintOf(row.updated_at),
  };
}
