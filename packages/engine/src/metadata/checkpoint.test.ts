import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Checkpointer } from "./checkpoint.ts";
import { openSql } from "./sql.ts";

test("the log is brought into the database by another process, and begins anew", async () => {
  const directory = mkdtempSync(join(tmpdir(), "hull-checkpoint-"));
  try {
    const file = join(directory, "test.sqlite");
    using sql = openSql(file);
    const limit = 256 << 10;
    using checkpointer = new Checkpointer(sql, file, { foldBytes: limit });
    sql.exec("CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB)");
    const insert = sql.prepare("INSERT INTO t (v) VALUES (?)");
    const sizes: number[] = [];
    for (let n = 0; n < 1000; n++) {
      sql.transaction(() => insert.run(Buffer.alloc(2000, n)));
      checkpointer.committed();
      await checkpointer.idle();
      sizes.push(statSync(`${file}-wal`).size);
    }
    expect(Math.max(...sizes)).toBeLessThan(2 * limit);
    expect(statSync(file).size).toBeGreaterThan(1_000_000);
    using other = openSql(file);
    expect(other.prepare("SELECT count(*) AS n FROM t").get()).toEqual({ n: 1000n });
  } finally {
    rmSync(directory, { recursive: true });
  }
}, 60_000);

test("a log that nobody can bring in elsewhere is brought in here", async () => {
  const directory = mkdtempSync(join(tmpdir(), "hull-checkpoint-"));
  try {
    const file = join(directory, "test.sqlite");
    using sql = openSql(file);
    const limit = 64 << 10;
    using checkpointer = new Checkpointer(sql, file, { foldBytes: limit, command: ["/nonexistent/hull"] });
    sql.exec("CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB)");
    const insert = sql.prepare("INSERT INTO t (v) VALUES (?)");
    for (let n = 0; n < 200; n++) {
      sql.transaction(() => insert.run(Buffer.alloc(2000, n)));
      checkpointer.committed();
      await checkpointer.idle();
    }
    expect(statSync(`${file}-wal`).size).toBeLessThan(3 * limit);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
