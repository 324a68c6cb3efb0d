import { describe, expect, test } from "bun:test";
import { contextFor } from "../context.ts";
import { MetadataFixture } from "../metadata/fixture.ts";

const ctx = contextFor("default");
const digest = `sha256:${"a".repeat(64)}`;

describe("leases", () => {
  test("are made, listed and deleted with what they hold", async () => {
    await using fixture = new MetadataFixture();
    const { leases } = fixture.stores;
    const lease = await leases.create(ctx, "lx", { a: "b", empty: "" });
    expect(lease).toMatchObject({ id: "lx", labels: { a: "b" } });
    expect((await leases.create(ctx, "", {})).id).toMatch(/^\d{1,9}-[A-Za-z0-9_-]{4}$/);
    expect(await leases.list(ctx, ["labels.a==b"])).toEqual([lease]);
    for (const [type, id] of [
      ["content", digest],
      ["snapshots/overlayfs", "k"],
      ["ingests", "r"],
      ["images", "i"],
      ["images", "i"],
    ] as const) {
      await leases.addResource(ctx, "lx", { type, id });
    }
    await leases.deleteResource(ctx, "lx", { type: "ingests", id: "r" });
    await leases.deleteResource(ctx, "lx", { type: "images", id: "never added" });
    expect(await leases.listResources(ctx, "lx")).toEqual([
      { type: "content", id: digest },
      { type: "images", id: "i" },
      { type: "snapshots/overlayfs", id: "k" },
    ]);
    await expect(leases.create(ctx, "lx", {})).rejects.toMatchObject({ code: "alreadyExists", message: 'lease "lx"' });
    await leases.delete(ctx, "lx", { sync: true });
    expect(fixture.cleanUps).toBe(1);
    const missing = { code: "notFound", message: 'lease "lx"' };
    await expect(leases.delete(ctx, "lx")).rejects.toMatchObject(missing);
    await expect(leases.listResources(ctx, "lx")).rejects.toMatchObject(missing);
    await expect(leases.addResource(ctx, "lx", { type: "images", id: "i" })).rejects.toMatchObject(missing);
    await expect(leases.deleteResource(ctx, "lx", { type: "images", id: "i" })).rejects.toMatchObject(missing);
  });

  test.each([
    ["content", "zz", "invalidArgument", "invalid content resource id zz: invalid checksum digest format"],
    ["snapshots", "k", "invalidArgument", "invalid snapshot resource type snapshots"],
    ["snapshots/", "k", "invalidArgument", "invalid snapshot resource type snapshots/"],
    ["snapshots/a/b", "k", "invalidArgument", "invalid snapshot resource type snapshots/a/b"],
    ["content/x", digest, "invalidArgument", "invalid resource type content/x"],
    ["foo", "i", "unimplemented", "resource type foo not supported yet"],
    ["images", "", "invalidArgument", "the id of a images resource must not be empty"],
  ])("the resource %p %p is refused", async (type, id, code, message) => {
    await using fixture = new MetadataFixture();
    await fixture.stores.leases.create(ctx, "l", {});
    await expect(fixture.stores.leases.addResource(ctx, "l", { type, id })).rejects.toMatchObject({ code, message });
  });
});
