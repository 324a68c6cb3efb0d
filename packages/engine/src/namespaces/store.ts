import { NamespaceCreate, NamespaceDelete, NamespaceUpdate } from "@hull/api/gen/containerd/events/namespace";
import { encodeAny } from "@hull/api/typeurl";
import { alreadyExists, failedPrecondition, invalidArgument, notFound } from "@hull/errors";
import type { Labels } from "../labels.ts";
import { checkIdentifier, ensureNamespace } from "../metadata/index.ts";
import { updateMapField, validateLabels, withoutEmpty } from "../metadata/labels.ts";
import { labelsOf, textOf } from "../metadata/rows.ts";
import type { SqlDatabase } from "../metadata/sql.ts";
import type { StoreOptions } from "../metadata/store-options.ts";
import type { NamespaceStore } from "./index.ts";

/** What keeps a namespace from being deleted, with its name in the text. */
const blockers = [
  { table: "images", name: "images" },
  { table: "blobs", name: "blobs" },
  { table: "containers", name: "containers" },
] as const;

/** Namespaces in the metadata. */
export class SqlNamespaceStore implements NamespaceStore {
  readonly #options: StoreOptions;
  readonly #sql: SqlDatabase;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.#sql = options.metadata.sql;
  }

  async get(name: string): Promise<Labels> {
    return this.#labels(name) ?? {};
  }

  async list(): Promise<{ name: string; labels: Labels }[]> {
    const rows = this.#sql.prepare("SELECT name, labels FROM namespaces ORDER BY name").all();
    return rows.map((row) => ({ name: textOf(row.name), labels: labelsOf(row.labels) }));
  }

  async create(name: string, labels: Labels): Promise<void> {
    checkIdentifier(name);
    validateLabels(labels, "namespace.Labels");
    const kept = withoutEmpty(labels);
    const added = this.#options.metadata.write(() =>
      this.#sql
        .prepare("INSERT OR IGNORE INTO namespaces (name, labels) VALUES (?, ?)")
        .run(name, JSON.stringify(kept)),
    );
    if (added === 0) throw alreadyExists(`namespace "${name}"`);
    await this.#options.metadata.durable();
    this.#publish(
      name,
      "/namespaces/create",
      // What was asked for, not what came of it, here and below: as containerd does.
      encodeAny("containerd.events.NamespaceCreate", NamespaceCreate, { name, labels }),
    );
  }

  async update(name: string, labels: Labels, fieldpaths: readonly string[] = []): Promise<Labels> {
    checkIdentifier(name);
    const paths = fieldpaths.length === 0 ? ["labels"] : fieldpaths;
    const updated = this.#options.metadata.write(() => {
      ensureNamespace(this.#sql, name);
      const changed = paths.reduce<Labels>((before, path) => {
        const after = updateMapField("labels", path, before, labels);
        if (after === undefined) throw invalidArgument(`cannot update "${path}" field`);
        return after;
      }, this.#labels(name) ?? {});
      validateLabels(changed, "namespace.Labels");
      const kept = withoutEmpty(changed);
      this.#sql.prepare("UPDATE namespaces SET labels = ? WHERE name = ?").run(JSON.stringify(kept), name);
      return kept;
    });
    await this.#options.metadata.durable();
    this.#publish(
      name,
      "/namespaces/update",
      encodeAny("containerd.events.NamespaceUpdate", NamespaceUpdate, { name, labels }),
    );
    return updated;
  }

  async delete(name: string): Promise<void> {
    this.#options.metadata.write(() => {
      if (this.#labels(name) === undefined) throw notFound(`namespace "${name}"`);
      const held = this.#held(name);
      if (held.length > 0) {
        throw failedPrecondition(`namespace "${name}" must be empty, but it still has ${held.join(", ")}`);
      }
      for (const table of ["lease_resources", "leases", "ingests", "sandboxes"]) {
        this.#sql.prepare(`DELETE FROM ${table} WHERE namespace = ?`).run(name);
      }
      this.#sql.prepare("DELETE FROM namespaces WHERE name = ?").run(name);
    });
    await this.#options.metadata.durable();
    this.#publish(
      name,
      "/namespaces/delete",
      encodeAny("containerd.events.NamespaceDelete", NamespaceDelete, { name }),
    );
    // Its ingests' files have no record any more.
    this.#options.collector?.changed("deletion");
  }

  #labels(name: string): Labels | undefined {
    const row = this.#sql.prepare("SELECT labels FROM namespaces WHERE name = ?").get(name);
    return row === undefined ? undefined : labelsOf(row.labels);
  }

  #held(name: string): string[] {
    const held = blockers
      .filter(({ table }) => this.#sql.prepare(`SELECT 1 FROM ${table} WHERE namespace = ? LIMIT 1`).get(name))
      .map((blocker) => blocker.name as string);
    const snapshotters = this.#sql
      .prepare("SELECT DISTINCT snapshotter FROM snapshots WHERE namespace = ? ORDER BY snapshotter")
      .all(name);
    return [...held, ...snapshotters.map((row) => `snapshots on "${textOf(row.snapshotter)}" snapshotter`)];
  }

  #publish(namespace: string, topic: string, event: ReturnType<typeof encodeAny>): void {
    this.#options.events.publish({ namespace }, topic, event);
  }
}
