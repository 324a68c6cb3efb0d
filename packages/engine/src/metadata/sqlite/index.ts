/**
 * The seam to SQLite: Bun's, or Node's (24 and later). Which one it is `package.json` says (`#sqlite`). Use it by `sql.ts`.
 */

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

/** An open file. */
export interface Sqlite {
  exec(sql: string): void;
  prepare(sql: string): SqlStatement;
  /** Lets go of the statements, too. */
  close(): void;
}

export interface SqliteLibrary {
  /** Opens or makes a file. @throws what SQLite throws for a file that is no database */
  open(file: string): Sqlite;
}
