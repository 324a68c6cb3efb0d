import { randomBytes } from "node:crypto";
import { nowNanos } from "@hull/api/timestamp";
import { alreadyExists, invalidArgument, notFound, unimplemented } from "@hull/errors";
import type { Context } from "../context.ts";
import type { Labels } from "../labels.ts";
import { digestProblem } from "../metadata/digest-problem.ts";
import { leaseAdaptor } from "../metadata/filters/adaptors.ts";
import { ensureNamespace, requireNamespace } from "../metadata/index.ts";
import { validateLabels, withoutEmpty } from "../metadata/labels.ts";
import { bigintOf, labelsOf, listRecords, textOf } from "../metadata/rows.ts";
import type { SqlDatabase, SqlRow } from "../metadata/sql.ts";
import type { StoreOptions } from "../metadata/store-options.ts";
import type { Lease, LeaseResource, LeaseStore } from "./index.ts";

/**
 * Leases in the metadata. They are not synced: a lease is for a client at work, and none survives a loss of power. Leases publish
 * no events.
 */
export class SqlLeaseStore implements LeaseStore {
  readonly #options: Omit<StoreOptions, "events">;
  readonly #sql: SqlDatabase;

  constructor(options: Omit<StoreOptions, "events">) {
    this.#options = options;
    this.#sql = options.metadata.sql;
  }

  async create(ctx: Context, id: string, labels: Labels): Promise<Lease> {
    const namespace = requireNamespace(ctx);
    validateLabels(labels, "lease.Labels");
    const createdAt = nowNanos();
    const lease = { id: id === "" ? newId(createdAt) : id, labels: withoutEmpty(labels), createdAt };
    this.#options.metadata.write(() => {
      ensureNamespace(this.#sql, namespace);
      const added = this.#sql
        .prepare("INSERT OR IGNORE INTO leases (namespace, id, labels, created_at) VALUES (?, ?, ?, ?)")
        .run(namespace, lease.id, JSON.stringify(lease.labels), createdAt);
      if (added === 0) throw alreadyExists(`lease "${lease.id}"`);
    });
    this.#options.collector?.changed("mutation");
    return lease;
  }

  async delete(ctx: Context, id: string, { sync = false }: { sync?: boolean } = {}): Promise<void> {
    const namespace = requireNamespace(ctx);
    const removed = this.#options.metadata.write(() =>
      this.#sql.prepare("DELETE FROM leases WHERE namespace = ? AND id = ?").run(namespace, id),
    );
    if (removed === 0) throw unknownLease(id);
    this.#options.collector?.changed("deletion");
    if (sync) await this.#options.collector?.collect();
  }

  async list(ctx: Context, filters: readonly string[] = []): Promise<Lease[]> {
    requireNamespace(ctx);
    return listRecords(this.#sql, ctx, { name: "leases", key: "id" }, leaseOf, filters, leaseAdaptor);
  }

  async addResource(ctx: Context, id: string, resource: LeaseResource): Promise<void> {
    const namespace = requireNamespace(ctx);
    this.#options.metadata.write(() => {
      this.#require(namespace, id);
      checkResource(resource);
      this.#sql
        .prepare("INSERT OR IGNORE INTO lease_resources (namespace, lease, type, id) VALUES (?, ?, ?, ?)")
        .run(namespace, id, resource.type, resource.id);
    });
    this.#options.collector?.changed("mutation");
  }

  async deleteResource(ctx: Context, id: string, resource: LeaseResource): Promise<void> {
    const namespace = requireNamespace(ctx);
    this.#options.metadata.write(() => {
      this.#require(namespace, id);
      checkResource(resource);
      this.#sql
        .prepare("DELETE FROM lease_resources WHERE namespace = ? AND lease = ? AND type = ? AND id = ?")
        .run(namespace, id, resource.type, resource.id);
    });
    this.#options.collector?.changed("deletion");
  }

  async listResources(ctx: Context, id: string): Promise<LeaseResource[]> {
    const namespace = requireNamespace(ctx);
    this.#require(namespace, id);
    const rows = this.#sql
      .prepare("SELECT type, id FROM lease_resources WHERE namespace = ? AND lease = ? ORDER BY type, id")
      .all(namespace, id);
    return rows.map((row) => ({ type: textOf(row.type), id: textOf(row.id) }));
  }

  #require(namespace: string, id: string): void {
    const row = this.#sql.prepare("SELECT 1 FROM leases WHERE namespace = ? AND id = ?").get(namespace, id);
    if (row === undefined) throw unknownLease(id);
  }
}

function unknownLease(id: string) {
  return notFound(`lease "${id}"`);
}

function leaseOf(row: SqlRow): Lease {
  return { id: textOf(row.id), labels: labelsOf(row.labels), createdAt: bigintOf(row.created_at) };
}

/** As containerd makes ids up: the nanoseconds of the second, and four random characters. */
function newId(now: bigint): string {
  return `${now % 1_000_000_000n}-${randomBytes(3).toString("base64url")}`;
}

/** @throws InvalidArgument if it is malformed; Unimplemented for a type that is not known */
function checkResource({ type, id }: LeaseResource): void {
  const [kind = "", name, ...rest] = type.split("/");
  if (!["content", "ingests", "images", "snapshots"].includes(kind)) {
    throw unimplemented(`resource type ${type} not supported yet`);
  }
  if (kind === "snapshots") {
    if (name === undefined || name === "" || rest.length > 0) {
      throw invalidArgument(`invalid snapshot resource type ${type}`);
    }
  } else if (name !== undefined) throw invalidArgument(`invalid resource type ${type}`);
  const problem = kind === "content" ? digestProblem(id) : undefined;
  if (problem !== undefined) throw invalidArgument(`invalid content resource id ${id}: ${problem}`);
  if (id === "") throw invalidArgument(`the id of a ${type} resource must not be empty`);
}
