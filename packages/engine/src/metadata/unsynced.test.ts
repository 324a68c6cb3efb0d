import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Metadata } from "./index.ts";
import { UnsyncedSnapshots } from "./unsynced.ts";

describe("unsynced snapshots", () => {
  let folder: string;
  let metadata: Metadata;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hull-unsynced-"));
    metadata = Metadata.open(folder);
    metadata.sql.exec("INSERT INTO namespaces (name) VALUES ('n')");
  });
  afterEach(() => {
    metadata[Symbol.dispose]();
    rmSync(folder, { recursive: true });
  });

  const open = (boot: string, sync: (directory: string) => Promise<void> = async () => {}): UnsyncedSnapshots =>
    new UnsyncedSnapshots(metadata.sql, { boot, sync });
  const add = (key: string, parent: bigint | null = null): bigint => {
    const row = metadata.sql
      .prepare(
        `INSERT INTO snapshots (namespace, snapshotter, key, parent_id, kind, labels, created_at, updated_at)
         VALUES ('n', 's', ?, ?, 'committed', '{}', 0, 0) RETURNING id`,
      )
      .get(key, parent);
    return row?.id as bigint;
  };
  const keys = (): string[] =>
    metadata.sql
      .prepare("SELECT key FROM snapshots ORDER BY key")
      .all()
      .map(({ key }) => String(key));

  test("are synced once for all that were committed before, each file system once", async () => {
    const synced: string[] = [];
    using snapshots = open("now", async (directory) => {
      synced.push(directory);
    });
    for (const key of ["a", "b", "c"]) snapshots.note(add(key), key === "c" ? "/two" : "/one");
    await Promise.all([snapshots.settle(), snapshots.settle()]);
    expect(synced).toEqual(["/one", "/two"]);
    await snapshots.settle();
    expect(synced).toHaveLength(2);
    expect(open("later").dropLost()).toEqual({ dropped: 0, doubtful: [] });
  });

  test("one that is committed while others are synced is waited for as well", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    let count = 0;
    using snapshots = open("now", () => (count++ === 0 ? promise : Promise.resolve()));
    snapshots.note(add("a"), "/one");
    const settled = snapshots.settle();
    snapshots.note(add("b"), "/one");
    resolve();
    await settled;
    expect(count).toBe(2);
    expect(open("later").dropLost().dropped).toBe(0);
  });

  test("that a loss of power took are forgotten with their leases, children first, whatever their ids", () => {
    using snapshots = open("now");
    const top = add("top");
    const base = add("base");
    metadata.sql.prepare("UPDATE snapshots SET parent_id = ? WHERE id = ?").run(base, top);
    add("kept");
    for (const id of [base, top]) snapshots.note(id, "/one");
    metadata.sql.exec(`INSERT INTO leases (namespace, id, labels, created_at) VALUES ('n', 'l', '{}', 0);
      INSERT INTO lease_resources (namespace, lease, type, id) VALUES ('n', 'l', 'snapshots/s', 'top')`);
    expect(open("now").dropLost()).toEqual({ dropped: 0, doubtful: [] });
    expect(open("later").dropLost()).toEqual({ dropped: 2, doubtful: [] });
    expect(keys()).toEqual(["kept"]);
    expect(metadata.sql.prepare("SELECT * FROM lease_resources").all()).toEqual([]);
  });

  test("that something else needs are kept, and named", () => {
    using snapshots = open("now");
    const base = add("base");
    snapshots.note(base, "/one");
    add("of a container", base);
    expect(open("later").dropLost()).toEqual({ dropped: 0, doubtful: ["base"] });
    expect(keys()).toEqual(["base", "of a container"]);
  });

  test("are synced for real, by another process", async () => {
    using snapshots = new UnsyncedSnapshots(metadata.sql);
    snapshots.note(add("a"), folder);
    await snapshots.settle();
    snapshots.note(add("b"), join(folder, "missing"));
    await expect(snapshots.settle()).rejects.toThrow("can't be synced");
  });
});
