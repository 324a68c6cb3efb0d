import { describe, expect, test } from "bun:test";
import { contextFor } from "../context.ts";
import { MetadataFixture } from "../metadata/fixture.ts";
import type { ContainerInput } from "./index.ts";

const ctx = contextFor("default");
const any = { typeUrl: "t", value: new Uint8Array([1, 0, 255]) };
const input: ContainerInput = {
  id: "c1",
  labels: { a: "b", empty: "" },
  image: "i",
  runtime: { name: "r", options: any },
  spec: any,
  snapshotter: "s",
  snapshotKey: "k",
  sandbox: "",
  extensions: { x: any },
};

describe("containers", () => {
  test("come back as they were given, and are told of", async () => {
    await using fixture = new MetadataFixture();
    const { containers } = fixture.stores;
    const container = await containers.create(ctx, input);
    expect(await containers.get(ctx, "c1")).toEqual(container);
    expect(container).toMatchObject({ ...input, labels: { a: "b" } });
    expect(await containers.list(ctx, ['runtime.name==r,labels."a"==b'])).toEqual([container]);
    expect(await containers.list(ctx, ["image!=i"])).toEqual([]);
    await containers.update(ctx, { ...input, image: "j" }, ["image"]);
    await containers.delete(ctx, "c1");
    expect(await fixture.event()).toMatchObject({
      topic: "/containers/create",
      message: { id: "c1", image: "i", runtime: { name: "r", options: { typeUrl: "t" } } },
    });
    expect(await fixture.event()).toMatchObject({
      topic: "/containers/update",
      message: { id: "c1", image: "j", labels: { a: "b" }, snapshotKey: "k" },
    });
    expect(await fixture.event()).toMatchObject({ topic: "/containers/delete", message: { id: "c1" } });
  });

  test("those with a label are found among many, whatever its name", async () => {
    await using fixture = new MetadataFixture();
    const { containers } = fixture.stores;
    const labels: Record<string, string>[] = [{ a: "x" }, { b: "a" }, { 'quoted "name"\\': "y" }, {}];
    for (const [number, own] of labels.entries())
      await containers.create(ctx, { ...input, id: `c${number}`, snapshotKey: "", labels: own });
    const ids = async (...filters: string[]) => (await containers.list(ctx, filters)).map(({ id }) => id);
    expect(await ids("labels.a")).toEqual(["c0"]);
    expect(await ids("labels.a==x", "labels.b")).toEqual(["c0", "c1"]);
    expect(await ids("labels.a==y", "labels.b!=a")).toEqual(["c0", "c2", "c3"]);
    expect(await ids(`labels.${JSON.stringify('quoted "name"\\')}==y`)).toEqual(["c2"]);
  });

  test.each<[Partial<ContainerInput>, string]>([
    [{ id: "" }, "container.ID: identifier must not be empty"],
    [{ id: "a b" }, 'container.ID: identifier "a b" must match'],
    [{ runtime: { name: "" } }, "container.Runtime.Name must be set"],
    [{ spec: undefined }, "container.Spec must be set"],
    [{ extensions: { "": any } }, "container.Extension keys must not be zero-length"],
    [{ snapshotter: "" }, "container.Snapshotter must be set if container.SnapshotKey is set"],
    [{ labels: { a: "b".repeat(4096) } }, "containers.Labels: label key and value length (4097 bytes)"],
  ])("a malformed one is refused (%#)", async (changes, text) => {
    await using fixture = new MetadataFixture();
    await expect(fixture.stores.containers.create(ctx, { ...input, ...changes })).rejects.toThrow(
      `create container failed validation: ${text}`,
    );
  });

  test("update by path, or all that may change", async () => {
    await using fixture = new MetadataFixture();
    const { containers } = fixture.stores;
    await containers.create(ctx, input);
    const update = (changes: Partial<ContainerInput>, ...paths: string[]) =>
      containers.update(ctx, { ...input, ...changes }, paths);
    expect((await update({ extensions: { y: any } }, "extensions.y")).extensions).toEqual({ x: any, y: any });
    expect((await update({ extensions: {} }, "extensions.x")).extensions).toEqual({ y: any });
    expect((await update({ snapshotKey: "k2" }, "snapshotkey")).snapshotKey).toBe("k2");
    expect((await update({ labels: { q: "1" } }, "labels.q")).labels).toEqual({ a: "b", q: "1" });
    // A path changes nothing else, whatever the rest says.
    expect(await update({ runtime: { name: "r2" }, image: "no" }, "labels")).toMatchObject({
      runtime: input.runtime,
      image: "i",
    });
    const replaced = await update({ labels: {}, extensions: {}, image: "", snapshotKey: "" });
    expect(replaced).toMatchObject({ labels: {}, extensions: {}, image: "", snapshotKey: "", snapshotter: "s" });
    expect(await containers.get(ctx, "c1")).toEqual(replaced);
    await expect(update({ snapshotter: "s2" })).rejects.toThrow("container.Snapshotter field is immutable");
    await expect(update({ runtime: { name: "r2" } })).rejects.toThrow("container.Runtime.Name field is immutable");
    for (const path of ["snapshot_key", "runtime", "snapshotter"]) {
      await expect(update({}, path)).rejects.toThrow(`cannot update "${path}" field on "c1"`);
    }
    await expect(update({ spec: undefined }, "spec")).rejects.toThrow(
      "update failed validation: container.Spec must be set",
    );
  });

  test("what isn't there is named with its namespace", async () => {
    await using fixture = new MetadataFixture();
    const { containers } = fixture.stores;
    await containers.create(ctx, input);
    const missing = { code: "notFound", message: 'container "c9" in namespace "default"' };
    await expect(containers.get(ctx, "c9")).rejects.toMatchObject(missing);
    await expect(containers.update(ctx, { ...input, id: "c9" })).rejects.toMatchObject({ code: "notFound" });
    await expect(containers.delete(ctx, "c9")).rejects.toMatchObject({ code: "notFound" });
    await expect(containers.create(ctx, input)).rejects.toMatchObject({
      code: "alreadyExists",
      message: 'container "c1"',
    });
    await expect(containers.get(contextFor("other"), "c1")).rejects.toMatchObject({ code: "notFound" });
  });
});
