import { sqlite } from "#sqlite";
import type { SqlStatement } from "./sqlite/index.ts";

export type { SqlRow, SqlStatement, SqlValue } from "./sqlite/index.ts";

/** An embedded SQL engine: all that the metadata needs of one. */
export interface SqlDatabase extends Disposable {
  exec(sql: string): void;
  /** Prepared once per text and kept. */
  prepare(sql: string): SqlStatement;
  /** Runs `work` in one write transaction (a savepoint inside another); what it throws rolls back. It can't await. */
  transaction<T>(work: () => T): T;
}

/** Opens (or makes) a database file in WAL mode. @throws what SQLite throws for a file that is no database */
export function openSql(file: string): SqlDatabase {
  const database = sqlite.open(file);
  // WAL: readers don't wait for the writer. NORMAL: a commit doesn't sync by itself; `Metadata.durable` does, for many at once.
  database.exec(
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 2000",
  );
  const begin = database.prepare("BEGIN IMMEDIATE");
  const commit = database.prepare("COMMIT");
  let depth = 0;
  // bun:sqlite's own `query` keeps twenty statements, and prepares the others anew for each call: several times the cost of running them.
  const statements = new Map<string, SqlStatement>();
  return {
    exec: (sql) => database.exec(sql),
    prepare(sql) {
      const kept = statements.get(sql);
      if (kept !== undefined) return kept;
      const statement = database.prepare(withoutPeeking(sql));
      statements.set(sql, statement);
      return statement;
    },
    transaction(work) {
      const nested = depth > 0;
      const name = `nested_${depth}`;
      if (nested) database.exec(`SAVEPOINT ${name}`);
      else begin.run();
      depth++;
      try {
        const result = work();
        if (nested) database.exec(`RELEASE ${name}`);
        else commit.run();
        return result;
      } catch (error) {
        database.exec(nested ? `ROLLBACK TO ${name}; RELEASE ${name}` : "ROLLBACK");
        throw error;
      } finally {
        depth--;
      }
    },
    [Symbol.dispose]() {
      database.close();
    },
  };
}

/**
 * Where the planner has a choice (a join, a range) it looks at the values bound, and plans the statement anew at each binding: up to ten
 * times the cost of running it. A plus sign, which does nothing, hides them from it, as `SQLITE_DBCONFIG_ENABLE_QPSG` would.
 */
const withoutPeeking = (sql: string): string => sql.replaceAll("?", "+?");
