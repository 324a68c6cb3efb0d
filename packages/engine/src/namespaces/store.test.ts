import { describe, expect, test } from "bun:test";
import { contextFor } from "../context.ts";
import { MetadataFixture } from "../metadata/fixture.ts";

describe("namespaces", () => {
  test("are made by hand or by the first write, and told of in themselves", async () => {
    await using fixture = new MetadataFixture();
    const { namespaces, leases } = fixture.stores;
    await namespaces.create("pp", { a: "b", empty: "" });
    expect(await fixture.event()).toEqual({
      namespace: "pp",
      topic: "/namespaces/create",
      message: { name: "pp", labels: { a: "b", empty: "" } },
    });
    await leases.create(contextFor("by-write"), "l", {});
    expect(await namespaces.list()).toEqual([
      { name: "by-write", labels: {} },
      { name: "pp", labels: { a: "b" } },
    ]);
    // A client asks for the default labels of a namespace before its first write.
    expect(await namespaces.get("nobody-made-it")).toEqual({});
    expect(await namespaces.update("pp", { z: "1" }, ["labels.z"])).toEqual({ a: "b", z: "1" });
    expect(await namespaces.update("new", { z: "1" })).toEqual({ z: "1" });
    expect(await namespaces.update("pp", {})).toEqual({});
    await expect(namespaces.update("pp", {}, ["name"])).rejects.toThrow('cannot update "name" field');
    await expect(namespaces.create("pp", {})).rejects.toMatchObject({
      code: "alreadyExists",
      message: 'namespace "pp"',
    });
  });

  test.each([
    ["", "identifier must not be empty"],
    ["a".repeat(77), "greater than maximum length (76 characters)"],
    ["a--b", 'identifier "a--b" must match ^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$'],
  ])("the name %p is refused", async (name, text) => {
    await using fixture = new MetadataFixture();
    await expect(fixture.stores.namespaces.create(name, {})).rejects.toThrow(text);
  });

  test("one that holds something stays", async () => {
    await using fixture = new MetadataFixture();
    const { namespaces, images, leases, sandboxes } = fixture.stores;
    const ctx = contextFor("default");
    const digest = `sha256:${"a".repeat(64)}`;
    await images.create(ctx, { name: "i", target: { mediaType: "m", digest, size: 1 } });
    const { sql } = fixture.metadata;
    sql.prepare("INSERT INTO blobs VALUES ('default', ?, 1, '{}', 0, 0)").run(digest);
    for (const snapshotter of ["overlayfs", "native"]) {
      sql
        .prepare(
          `INSERT INTO snapshots (namespace, snapshotter, key, kind, labels, created_at, updated_at)
           VALUES ('default', ?, 'k', 'active', '{}', 0, 0)`,
        )
        .run(snapshotter);
    }
    await expect(namespaces.delete("default")).rejects.toMatchObject({
      code: "failedPrecondition",
      message:
        'namespace "default" must be empty, but it still has images, blobs, snapshots on "native" snapshotter, snapshots on "overlayfs" snapshotter',
    });
    await images.delete(ctx, "i");
    sql.exec("DELETE FROM blobs; DELETE FROM snapshots");
    // Leases and sandboxes are no hindrance: they go along.
    await leases.create(ctx, "l", {});
    await leases.addResource(ctx, "l", { type: "images", id: "i" });
    await sandboxes.create(ctx, { id: "s", labels: {}, runtime: { name: "r" }, sandboxer: "shim", extensions: {} });
    await namespaces.delete("default");
    expect(await namespaces.list()).toEqual([]);
    await expect(namespaces.delete("default")).rejects.toMatchObject({
      code: "notFound",
      message: 'namespace "default"',
    });
  });
});
