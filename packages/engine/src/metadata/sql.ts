import { Database as Sqlite, type Statement } from "bun:sqlite";

/** A value as SQLite stores it. Integers come back as bigint: times in nanoseconds don't fit a number. */
export type SqlValue = string | bigint | number | Uint8Array | null;

export type SqlRow = Readonly<Record<string, SqlValue>>;

/** A prepared statement; parameters are positional. */
export interface SqlStatement {
  all(...parameters: SqlValue[]): SqlRow[];
  get(...parameters: SqlValue[]): SqlRow | undefined;
  /** Gives the number of rows changed. */
  run(...parameters: SqlValue[]): number;
}

/** The seam to an embedded SQL engine: all that the metadata needs of one. This file is the only one that knows which. */
export interface SqlDatabase extends Disposable {
  exec(sql: string): void;
  /** Prepared once per text and kept. */
  prepare(sql: string): SqlStatement;
  /** Runs `work` in one write transaction (a savepoint inside another); what it throws rolls back. It can't await. */
  transaction<T>(work: () => T): T;
}

/** Opens (or makes) a database file in WAL mode. @throws what SQLite throws for a file that is no database */
export function openSql(file: string): SqlDatabase {
  const sqlite = new Sqlite(file, { create: true, strict: true, safeIntegers: true });
  // WAL: readers don't wait for the writer. NORMAL: a commit doesn't sync by itself; `Metadata.durable` does, for many at once.
  sqlite.exec(
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 2000",
  );
  const begin = sqlite.prepare<SqlRow, SqlValue[]>("BEGIN IMMEDIATE");
  const commit = sqlite.prepare<SqlRow, SqlValue[]>("COMMIT");
  let depth = 0;
  // bun:sqlite's own `query` keeps twenty statements, and prepares the others anew for each call: several times the cost of running them.
  const statements = new Map<string, Statement<SqlRow, SqlValue[]>>();
  return {
    exec: (sql) => sqlite.exec(sql),
    prepare(sql) {
      const kept = statements.get(sql);
      const statement = kept ?? sqlite.prepare<SqlRow, SqlValue[]>(withoutPeeking(sql));
      if (kept === undefined) statements.set(sql, statement);
      return {
        all: (...parameters) => statement.all(...parameters),
        get: (...parameters) => statement.get(...parameters) ?? undefined,
        run: (...parameters) => Number(statement.run(...parameters).changes),
      };
    },
    transaction(work) {
      const nested = depth > 0;
      const name = `nested_${depth}`;
      if (nested) sqlite.exec(`SAVEPOINT ${name}`);
      else begin.run();
      depth++;
      try {
        const result = work();
        if (nested) sqlite.exec(`RELEASE ${name}`);
        else commit.run();
        return result;
      } catch (error) {
        sqlite.exec(nested ? `ROLLBACK TO ${name}; RELEASE ${name}` : "ROLLBACK");
        throw error;
      } finally {
        depth--;
      }
    },
    [Symbol.dispose]() {
      for (const statement of [begin, commit, ...statements.values()]) statement.finalize();
      sqlite.close();
    },
  };
}

/**
 * Where the planner has a choice (a join, a range) it looks at the values bound, and plans the statement anew at each binding: up to ten
 * times the cost of running it. A plus sign, which does nothing, hides them from it, as `SQLITE_DBCONFIG_ENABLE_QPSG` would.
 */
const withoutPeeking = (sql: string): string => sql.replaceAll("?", "+?");
