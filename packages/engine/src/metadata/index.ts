import { closeSync, fdatasync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { failedPrecondition, invalidArgument, notFound } from "@hull/errors";
import type { Context } from "../context.ts";
import { Checkpointer } from "./checkpoint.ts";
import { migrations } from "./schema.ts";
import { openSql, type SqlDatabase } from "./sql.ts";
import { UnsyncedSnapshots } from "./unsynced.ts";

/**
 * The metadata: every record of every store, in one database file, so that one transaction can change several.
 *
 * Stores (images, containers, content, snapshots, leases …) each own their tables and statements; this class owns the file, its
 * migrations, and when what was committed is on disk.
 */
export class Metadata implements Disposable {
  readonly sql: SqlDatabase;
  readonly unsynced: UnsyncedSnapshots;
  readonly #walFile: string;
  readonly #checkpointer: Checkpointer;
  #syncing: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  private constructor(sql: SqlDatabase, file: string) {
    this.sql = sql;
    this.unsynced = new UnsyncedSnapshots(sql);
    this.#walFile = `${file}-wal`;
    this.#checkpointer = new Checkpointer(sql, file);
  }

  /** Opens the database in `directory` (made if missing) and brings it to this version. @throws FailedPrecondition if it is newer */
  static open(directory: string): Metadata {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const file = join(directory, "meta.sqlite");
    const sql = openSql(file);
    const version = Number(sql.prepare("PRAGMA user_version").get()?.user_version ?? 0);
    if (version > migrations.length) {
      sql[Symbol.dispose]();
      throw failedPrecondition(
        `metadata "${file}" has version ${version}, this hull knows up to ${migrations.length}: use the newer hull that wrote it`,
      );
    }
    migrations.slice(version).forEach((migration, index) => {
      sql.transaction(() => {
        sql.exec(migration);
        sql.exec(`PRAGMA user_version = ${version + index + 1}`);
      });
    });
    return new Metadata(sql, file);
  }

  /** Runs `work` in one write transaction. It can't await. Not on disk yet when this returns: see `durable`. */
  write<T>(work: () => T): T {
    const result = this.sql.transaction(work);
    this.#checkpointer.committed();
    return result;
  }

  /** Waits until everything committed before this call survives a loss of power. Callers at the same time share one sync. */
  durable(): Promise<void> {
    if (this.#syncing === undefined) {
      this.#syncing = this.#sync().finally(() => {
        this.#syncing = undefined;
      });
      return this.#syncing;
    }
    // The sync under way may have begun before the caller's commit: wait for one that begins after it.
    this.#next ??= this.#syncing
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.durable();
      });
    return this.#next;
  }

  #sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      const descriptor = openSync(this.#walFile, "r");
      fdatasync(descriptor, (error) => {
        closeSync(descriptor);
        if (error === null || error === undefined) resolve();
        else reject(error);
      });
    });
  }

  [Symbol.dispose](): void {
    this.unsynced[Symbol.dispose]();
    this.#checkpointer[Symbol.dispose]();
    this.sql[Symbol.dispose]();
  }
}

const identifier = /^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$/;
const maxIdentifierLength = 76;

/**
 * Checks the id of a namespace, container, sandbox or exec: 1 to 76 letters, digits and single separators. `what` begins the text;
 * without it the text is only about the identifier. The texts are containerd's.
 * @throws InvalidArgument
 */
export function checkIdentifier(id: string, what?: string): void {
  const problem =
    id === ""
      ? "identifier must not be empty"
      : id.length > maxIdentifierLength
        ? `identifier "${id}" greater than maximum length (${maxIdentifierLength} characters)`
        : identifier.test(id)
          ? undefined
          : `identifier "${id}" must match ${identifier.source}`;
  if (problem !== undefined) throw invalidArgument(what === undefined ? problem : `${what}: ${problem}`);
}

/** The context's namespace, checked. @throws FailedPrecondition if there is none; InvalidArgument if it is malformed */
export function requireNamespace(ctx: Pick<Context, "namespace">): string {
  if (ctx.namespace === "") throw failedPrecondition("namespace is required");
  checkIdentifier(ctx.namespace, "namespace validation");
  return ctx.namespace;
}

/** Makes the namespace's row if there is none; to be called inside the write transaction that first puts something into it. */
export function ensureNamespace(sql: SqlDatabase, namespace: string): void {
  sql.prepare("INSERT OR IGNORE INTO namespaces (name) VALUES (?)").run(namespace);
}

/**
 * Adds what a call made to its context's lease, if it has one; to be called inside the same write transaction.
 * @throws NotFound if there is no such lease
 */
export function addToLease(sql: SqlDatabase, ctx: Context, type: string, id: string): void {
  if (ctx.lease === undefined || ctx.lease === "") return;
  const lease = sql.prepare("SELECT 1 FROM leases WHERE namespace = ? AND id = ?").get(ctx.namespace, ctx.lease);
  if (lease === undefined) throw notFound("lease does not exist");
  sql
    .prepare("INSERT OR IGNORE INTO lease_resources (namespace, lease, type, id) VALUES (?, ?, ?, ?)")
    .run(ctx.namespace, ctx.lease, type, id);
}
