import { textOf } from "../metadata/rows.ts";
import type { SqlDatabase } from "../metadata/sql.ts";
import type { Node, NodeKind } from "./labels.ts";
import { kinds, nodeOfResource, sources } from "./records.ts";

/**
 * Notes what is written while a collection is under way: triggers that live only on this connection put the key of every inserted or
 * updated record, and of every leased resource, into a temporary table. What is deleted keeps nothing and isn't noted.
 *
 * The triggers are made by a connection's first barrier and stay, asleep between collections: each change of the schema would have
 * SQLite prepare every statement of the daemon anew.
 */
export class WriteBarrier implements Disposable {
  readonly #sql: SqlDatabase;

  /** @throws if another one is up on the same database */
  constructor(sql: SqlDatabase) {
    this.#sql = sql;
    if (!equipped.has(sql)) equip(sql);
    sql.prepare("INSERT INTO temp.gc_collecting VALUES (1)").run();
  }

  /** Which namespaces were written to since they were last drained. */
  drain(namespace: string): Node[] {
    const rows = this.#sql.prepare("SELECT kind, name FROM temp.gc_written WHERE namespace = ?").all(namespace);
    if (rows.length === 0) return [];
    this.#sql.prepare("DELETE FROM temp.gc_written WHERE namespace = ?").run(namespace);
    return rows
      .map((row): Node | undefined => {
        const kind = textOf(row.kind);
        const name = textOf(row.name);
        return kind.startsWith("lease ")
          ? nodeOfResource(kind.slice("lease ".length), name)
          : `${kind as NodeKind} ${name}`;
      })
      .filter((node) => node !== undefined);
  }

  [Symbol.dispose](): void {
    this.#sql.prepare("DELETE FROM temp.gc_collecting").run();
    this.#sql.prepare("DELETE FROM temp.gc_written").run();
  }
}

/** The connections that have the triggers. */
const equipped = new WeakSet<SqlDatabase>();

function equip(sql: SqlDatabase): void {
  sql.exec("CREATE TEMP TABLE gc_written (namespace TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL)");
  // Has a row while a collection is under way.
  sql.exec("CREATE TEMP TABLE gc_collecting (one INTEGER PRIMARY KEY)");
  for (const kind of kinds) {
    const { table, keys } = sources[kind];
    const name = keys.map((key) => `new.${key}`).join(" || '/' || ");
    note(sql, table, `'${kind}'`, name);
  }
  note(sql, "lease_resources", "'lease ' || new.type", "new.id");
  equipped.add(sql);
}

const changes = ["insert", "update"] as const;

function note(sql: SqlDatabase, table: string, kind: string, name: string): void {
  for (const change of changes) {
    sql.exec(
      `CREATE TEMP TRIGGER gc_${change}_${table} AFTER ${change} ON main.${table}
       WHEN EXISTS (SELECT 1 FROM temp.gc_collecting)
       BEGIN INSERT INTO gc_written VALUES (new.namespace, ${kind}, ${name}); END`,
    );
  }
}
