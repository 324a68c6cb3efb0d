import { openSql } from "./sql.ts";

/** The process that brings the write-ahead log into the database; its argument is the database's file. Gives the exit status. */
export async function runCheckpoint([file = ""]: readonly string[]): Promise<number> {
  using sql = openSql(file);
  sql.exec("PRAGMA wal_checkpoint(PASSIVE)");
  return 0;
}
