import { describe, expect, test } from "bun:test";
import { contextFor } from "../context.ts";
import { MetadataFixture } from "../metadata/fixture.ts";
import type { SandboxInput } from "./index.ts";

const ctx = contextFor("default");
const any = { typeUrl: "t", value: new Uint8Array([1, 0, 255]) };
const input: SandboxInput = {
  id: "s1",
  labels: { a: "b", empty: "" },
  runtime: { name: "r", options: any },
  spec: any,
  sandboxer: "shim",
  extensions: { x: any },
};

describe("sandboxes", () => {
  test("come back as they were given", async () => {
    await using fixture = new MetadataFixture();
    const { sandboxes } = fixture.stores;
    const sandbox = await sandboxes.create(ctx, input);
    expect(sandbox).toMatchObject({ ...input, labels: { a: "b" } });
    expect(await sandboxes.get(ctx, "s1")).toEqual(sandbox);
    const bare = await sandboxes.create(ctx, { ...input, id: "s2", spec: undefined, sandboxer: "", labels: {} });
    expect((await sandboxes.get(ctx, "s2")).spec).toBeUndefined();
    expect(await sandboxes.list(ctx)).toEqual([sandbox, bare]);
    expect(await sandboxes.list(ctx, ["labels.a==b"])).toEqual([sandbox]);
    await sandboxes.delete(ctx, "s1");
    for (const missing of [sandboxes.get(ctx, "s1"), sandboxes.update(ctx, input)]) {
      await expect(missing).rejects.toMatchObject({ code: "notFound", message: 'bucket "s1" not found' });
    }
    await expect(sandboxes.delete(ctx, "s1")).rejects.toMatchObject({
      code: "notFound",
      message: 'failed to delete sandbox "s1"',
    });
  });

  test("update by path, or all but the runtime's name", async () => {
    await using fixture = new MetadataFixture();
    const { sandboxes } = fixture.stores;
    await sandboxes.create(ctx, input);
    const update = (changes: Partial<SandboxInput>, ...paths: string[]) =>
      sandboxes.update(ctx, { ...input, ...changes }, paths);
    expect((await update({ labels: { z: "1" } }, "labels.z")).labels).toEqual({ a: "b", z: "1" });
    expect((await update({ extensions: {} }, "extensions.x")).extensions).toEqual({});
    expect((await update({ spec: undefined }, "spec")).spec).toBeUndefined();
    expect((await update({ runtime: { name: "r2" } }, "runtime")).runtime.name).toBe("r2");
    await expect(update({})).rejects.toThrow("sandbox.Runtime.Name field is immutable");
    expect(await update({ runtime: { name: "r2" } })).toMatchObject({ labels: { a: "b" }, extensions: { x: any } });
    await expect(update({}, "sandboxer")).rejects.toThrow('cannot update "sandboxer" field on sandbox "s1"');
  });

  test("are refused without an id, a runtime, or with an empty key", async () => {
    await using fixture = new MetadataFixture();
    const create = (changes: Partial<SandboxInput>) => fixture.stores.sandboxes.create(ctx, { ...input, ...changes });
    await expect(create({ id: "" })).rejects.toThrow(
      "failed to validate sandbox: invalid sandbox ID: identifier must not",
    );
    await expect(create({ runtime: { name: "" } })).rejects.toThrow("sandbox.Runtime.Name must be set");
    await expect(create({ extensions: { "": any } })).rejects.toThrow("zero-length");
    await create({});
    await expect(create({})).rejects.toMatchObject({
      code: "alreadyExists",
      message: 'write error: sandbox bucket "s1" already exists',
    });
  });
});
