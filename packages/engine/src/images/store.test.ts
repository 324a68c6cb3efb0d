import { expect, test } from "bun:test";
import { contextFor } from "../context.ts";
import { MetadataFixture } from "../metadata/fixture.ts";
import { imageStoreSuite } from "./suite.ts";

imageStoreSuite("images in the metadata", async () => {
  const fixture = new MetadataFixture();
  return { store: fixture.stores.images, [Symbol.asyncDispose]: () => fixture[Symbol.asyncDispose]() };
});

test("an image's changes are told after they are made", async () => {
  await using fixture = new MetadataFixture();
  const { images, leases } = fixture.stores;
  const ctx = contextFor("default");
  const target = { mediaType: "m", digest: `sha256:${"a".repeat(64)}`, size: 10 };
  await images.create(ctx, { name: "i", target, labels: { a: "b" } });
  await images.update(ctx, { name: "i", target, labels: { c: "d" } });
  await images.delete(ctx, "i");
  const about = (topic: string, message: object) => ({ namespace: "default", topic, message });
  expect(await fixture.event()).toEqual(about("/images/create", { name: "i", labels: { a: "b" } }));
  expect(await fixture.event()).toEqual(about("/images/update", { name: "i", labels: { c: "d" } }));
  expect(await fixture.event()).toEqual(about("/images/delete", { name: "i" }));
  // Only an image that expires needs a lease to keep it.
  await leases.create(ctx, "l", {});
  const leased = contextFor("default", { lease: "l" });
  await images.create(leased, { name: "plain", target });
  await images.create(leased, { name: "short", target, labels: { "containerd.io/gc.expire": "2001-01-01T00:00:00Z" } });
  expect(await leases.listResources(ctx, "l")).toEqual([{ type: "images", id: "short" }]);
});
