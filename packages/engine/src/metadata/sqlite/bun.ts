import { Database, type Statement } from "bun:sqlite";
import type { SqliteLibrary, SqlRow, SqlValue } from "./index.ts";

export const sqlite: SqliteLibrary = {
  open(file) {
    const database = new Database(file, { create: true, strict: true, safeIntegers: true });
    const statements: Statement<SqlRow, SqlValue[]>[] = [];
    return {
      exec: (sql) => database.exec(sql),
      prepare(sql) {
        const statement = database.prepare<SqlRow, SqlValue[]>(sql);
        statements.push(statement);
        return {
          all: (...parameters) => statement.all(...parameters),
          get: (...parameters) => statement.get(...parameters) ?? undefined,
          run: (...parameters) => Number(statement.run(...parameters).changes),
        };
      },
      close() {
        for (const statement of statements) statement.finalize();
        database.close();
      },
    };
  },
};
