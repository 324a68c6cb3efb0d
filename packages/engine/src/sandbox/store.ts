import { nowNanos } from "@hull/api/timestamp";
import { alreadyExists, invalidArgument, notFound } from "@hull/errors";
import type { Context } from "../context.ts";
import { sandboxAdaptor } from "../metadata/filters/adaptors.ts";
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
import type { Sandbox, SandboxInput, SandboxStore } from "./index.ts";

/** What an update without paths replaces. */
const mutableFields = ["labels", "extensions", "spec", "runtime"];

/** Sandboxes in the metadata. Their events are the controllers' to publish. */
export class SqlSandboxStore implements SandboxStore {
  readonly #options: Omit<StoreOptions, "events">;
  readonly #sql: SqlDatabase;

  constructor(options: Omit<StoreOptions, "events">) {
    this.#options = options;
    this.#sql = options.metadata.sql;
  }

  async get(ctx: Context, id: string): Promise<Sandbox> {
    return this.#get(requireNamespace(ctx), id);
  }

  async list(ctx: Context, filters: readonly string[] = []): Promise<Sandbox[]> {
    requireNamespace(ctx);
    return listRecords(this.#sql, ctx, { name: "sandboxes", key: "id" }, sandboxOf, filters, sandboxAdaptor);
  }

  async create(ctx: Context, input: SandboxInput): Promise<Sandbox> {
    const namespace = requireNamespace(ctx);
    const now = nowNanos();
    const sandbox = validated({ ...input, createdAt: now, updatedAt: now });
    this.#options.metadata.write(() => {
      ensureNamespace(this.#sql, namespace);
      const added = this.#sql
        .prepare(
          `INSERT OR IGNORE INTO sandboxes (labels, runtime_name, runtime_options_type, runtime_options, spec_type, spec, extensions,
             updated_at, namespace, id, sandboxer, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        )
        .run(...mutableCells(sandbox), namespace, sandbox.id, sandbox.sandboxer, sandbox.createdAt);
      if (added === 0) throw alreadyExists(`write error: sandbox bucket "${sandbox.id}" already exists`);
    });
    await this.#options.metadata.durable();
    this.#options.collector?.changed("mutation");
    return sandbox;
  }

  async update(ctx: Context, input: SandboxInput, fieldpaths: readonly string[] = []): Promise<Sandbox> {
    const namespace = requireNamespace(ctx);
    const sandbox = this.#options.metadata.write(() => {
      const before = this.#get(namespace, input.id);
      if (fieldpaths.length === 0 && input.runtime.name !== before.runtime.name) {
        throw invalidArgument("sandbox.Runtime.Name field is immutable");
      }
      const changed = (fieldpaths.length === 0 ? mutableFields : fieldpaths).reduce<Sandbox>(
        (sandbox, path) => withField(sandbox, input, path),
        before,
      );
      const updated = validated({ ...changed, updatedAt: nowNanos() });
      this.#sql
        .prepare(
          `UPDATE sandboxes SET labels = ?, runtime_name = ?, runtime_options_type = ?, runtime_options = ?, spec_type = ?, spec = ?,
             extensions = ?, updated_at = ? WHERE namespace = ? AND id = ?`,
        )
        .run(...mutableCells(updated), namespace, updated.id);
      return updated;
    });
    await this.#options.metadata.durable();
    this.#options.collector?.changed("mutation");
    return sandbox;
  }

  async delete(ctx: Context, id: string): Promise<void> {
    const namespace = requireNamespace(ctx);
    const removed = this.#options.metadata.write(() =>
      this.#sql.prepare("DELETE FROM sandboxes WHERE namespace = ? AND id = ?").run(namespace, id),
    );
    if (removed === 0) throw notFound(`failed to delete sandbox "${id}"`);
    await this.#options.metadata.durable();
    this.#options.collector?.changed("deletion");
  }

  #get(namespace: string, id: string): Sandbox {
    const row = this.#sql.prepare("SELECT * FROM sandboxes WHERE namespace = ? AND id = ?").get(namespace, id);
    // The texts are containerd's, here and above: a bucket is a table of its database.
    if (row === undefined) throw notFound(`bucket "${id}" not found`);
    return sandboxOf(row);
  }
}

function sandboxOf(row: SqlRow): Sandbox {
  return {
    id: textOf(row.id),
    labels: labelsOf(row.labels),
    runtime: { name: textOf(row.runtime_name), options: typedBytesOf(row.runtime_options_type, row.runtime_options) },
    spec: typedBytesOf(row.spec_type, row.spec),
    sandboxer: textOf(row.sandboxer),
    extensions: extensionsOf(row.extensions),
    createdAt: bigintOf(row.created_at),
    updatedAt: bigintOf(row.updated_at),
  };
}

function mutableCells({ labels, runtime, spec, extensions, updatedAt }: Sandbox) {
  return [
    JSON.stringify(labels),
    runtime.name,
    runtime.options?.typeUrl ?? null,
    runtime.options?.value ?? null,
    spec?.typeUrl ?? null,
    spec?.value ?? null,
    extensionsCell(extensions),
    updatedAt,
  ] as const;
}

function withField(sandbox: Sandbox, input: SandboxInput, path: string): Sandbox {
  if (path === "spec") return { ...sandbox, spec: input.spec };
  if (path === "runtime") return { ...sandbox, runtime: input.runtime };
  const labels = updateMapField("labels", path, sandbox.labels, input.labels);
  if (labels !== undefined) return { ...sandbox, labels };
  const extensions = updateMapField("extensions", path, sandbox.extensions, input.extensions);
  if (extensions !== undefined) return { ...sandbox, extensions };
  throw invalidArgument(`cannot update "${path}" field on sandbox "${sandbox.id}"`);
}

/** The sandbox without empty labels. @throws InvalidArgument */
function validated(sandbox: Sandbox): Sandbox {
  const what = "failed to validate sandbox";
  checkIdentifier(sandbox.id, `${what}: invalid sandbox ID`);
  validateLabels(sandbox.labels, `${what}: sandbox.Labels`);
  if (Object.hasOwn(sandbox.extensions, "")) {
    throw invalidArgument(`${what}: sandbox.Extensions keys must not be zero-length`);
  }
  if (sandbox.runtime.name === "") throw invalidArgument(`${what}: sandbox.Runtime.Name must be set`);
  return { ...sandbox, labels: withoutEmpty(sandbox.labels) };
}
