import { describe, expect, test } from "bun:test";
import { contextFor } from "../context.ts";
import { MetadataFixture } from "./fixture.ts";
import { addToLease, ensureNamespace, Metadata, requireNamespace } from "./index.ts";

describe("metadata", () => {
  test("what throws in a transaction undoes it, also within another", async () => {
    await using fixture = new MetadataFixture();
    const { metadata } = fixture;
    const { sql } = metadata;
    metadata.write(() => {
      ensureNamespace(sql, "kept");
      expect(() =>
        metadata.write(() => {
          ensureNamespace(sql, "undone");
          throw new Error("no");
        }),
      ).toThrow("no");
    });
    expect(sql.prepare("SELECT name FROM namespaces").all()).toEqual([{ name: "kept" }]);
  });

  test("is found again, and refused if a newer hull wrote it", async () => {
    await using fixture = new MetadataFixture();
    fixture.metadata.write(() => ensureNamespace(fixture.metadata.sql, "kept"));
    await Promise.all([fixture.metadata.durable(), fixture.metadata.durable()]);
    {
      using again = Metadata.open(fixture.directory);
      expect(again.sql.prepare("SELECT name FROM namespaces").all()).toEqual([{ name: "kept" }]);
    }
    fixture.metadata.sql.exec("PRAGMA user_version = 999");
    expect(() => Metadata.open(fixture.directory)).toThrow("has version 999");
  });

  test("a context's namespace is checked, and its lease must exist", async () => {
    await using fixture = new MetadataFixture();
    expect(() => requireNamespace({ namespace: "" })).toThrow("namespace is required");
    expect(() => requireNamespace({ namespace: "a b" })).toThrow('namespace validation: identifier "a b" must match');
    const leased = contextFor("default", { lease: "none" });
    expect(() => addToLease(fixture.metadata.sql, leased, "content", "x")).toThrow("lease does not exist");
  });
});
