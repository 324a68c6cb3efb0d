import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Checkpointer } from "./checkpoint.ts";
import { openSql } from "./sql.ts";

/** Writes 3 MB in commits of 2 kB, with `each` after each. @returns how long the files are then, in bytes */
async function fill(options: { command?: string[] }, each: (checkpointer: Checkpointer) => Promise<void>) {
  const directory = mkdtempSync(join(tmpdir(), "hull-checkpoint-"));
  try {
    const file = join(directory, "test.sqlite");
    using sql = openSql(file);
    using checkpointer = new Checkpointer(sql, file, { foldRows: 64, ...options });
    sql.exec("CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB)");
    const insert = sql.prepare("INSERT INTO t (v) VALUES (?)");
    for (let n = 0; n < 1500; n++) {
      sql.transaction(() => insert.run(Buffer.alloc(2000, n)));
      checkpointer.committed();
      await each(checkpointer);
    }
    await checkpointer.idle();
    using other = openSql(file);
    expect(other.prepare("SELECT count(*) AS n FROM t").get()).toEqual({ n: 1500n });
    return { log: statSync(`${file}-wal`).size, database: statSync(file).size };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test("the log is brought into the database by another process, and begins anew", async () => {
  const { log, database } = await fill({}, (checkpointer) => checkpointer.idle());
  expect(database).toBeGreaterThan(2_000_000);
  expect(log).toBeLessThan(1_500_000);
}, 120_000);

test("a log that no other process can bring in is brought in here", async () => {
  const { log } = await fill({ command: ["/nonexistent/hull"] }, (checkpointer) => checkpointer.idle());
  expect(log).toBeLessThan(1_500_000);
});

test("a log that never rests is brought in here in the end", async () => {
  const { log } = await fill({ command: ["/bin/true"] }, (checkpointer) => checkpointer.idle());
  expect(log).toBeLessThan(4_500_000);
}, 120_000);
