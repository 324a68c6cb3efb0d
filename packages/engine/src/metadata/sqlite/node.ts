import { DatabaseSync } from "node:sqlite";
import type { SqliteLibrary, SqlRow } from "./index.ts";

export const sqlite: SqliteLibrary = {
  open(file) {
    const database = new DatabaseSync(file);
    return {
      exec: (sql) => database.exec(sql),
      prepare(sql) {
        const statement = database.prepare(sql);
        statement.setReadBigInts(true);
        return {
          all: (...parameters) => statement.all(...parameters) as SqlRow[],
          get: (...parameters) => statement.get(...parameters) as SqlRow | undefined,
          run: (...parameters) => Number(statement.run(...parameters).changes),
        };
      },
      close: () => database.close(),
    };
  },
};
