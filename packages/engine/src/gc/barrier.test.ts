import { expect, test } from "bun:test";
import { MetadataFixture } from "../metadata/fixture.ts";
import { ensureNamespace } from "../metadata/index.ts";
import { WriteBarrier } from "./barrier.ts";

test("barriers note what is written while they are up, one after the other over the same triggers", async () => {
  await using fixture = new MetadataFixture();
  const { sql } = fixture.metadata;
  ensureNamespace(sql, "default");
  const write = (digest: string) =>
    sql.prepare("INSERT INTO blobs VALUES ('default', ?, 1, '{}', 0, 0)").run(`sha256:${digest}`);
  const triggers = () => sql.prepare("SELECT name FROM temp.sqlite_schema").all().length;
  {
    using barrier = new WriteBarrier(sql);
    expect(() => new WriteBarrier(sql)).toThrow();
    write("a");
    expect(barrier.drain("default")).toEqual(["content sha256:a"]);
    write("b");
  }
  const made = triggers();
  write("c");
  {
    using barrier = new WriteBarrier(sql);
    expect(barrier.drain("default")).toEqual([]);
    write("d");
    expect(barrier.drain("elsewhere")).toEqual([]);
    expect(barrier.drain("default")).toEqual(["content sha256:d"]);
  }
  expect(triggers()).toBe(made);
});
