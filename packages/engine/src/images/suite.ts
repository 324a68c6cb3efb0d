import { describe, expect, test } from "bun:test";
import { contextFor } from "../context.ts";
import type { ImageStore } from "./index.ts";

const ctx = contextFor("default");
const digest = `sha256:${"a".repeat(64)}`;
const target = { mediaType: "m", digest, size: 10 };
const input = { name: "i1", target: { ...target, annotations: { x: "y", empty: "" } }, labels: { a: "b", empty: "" } };

/** What opens a store for one test. */
export interface ImageStoreFixture extends AsyncDisposable {
  store: ImageStore;
}

/** What every image store does; texts as containerd 2.1.9 answers. */
export function imageStoreSuite(name: string, open: () => Promise<ImageStoreFixture>): void {
  const check = (title: string, run: (store: ImageStore) => Promise<void>) =>
    test(title, async () => {
      await using fixture = await open();
      await run(fixture.store);
    });

  describe(name, () => {
    check("creates, gets, lists and deletes", async (store) => {
      const image = await store.create(ctx, input);
      expect(image).toMatchObject({ name: "i1", labels: { a: "b" } });
      expect(image.target.annotations).toEqual({ x: "y" });
      expect(Object.keys(image.labels)).toEqual(["a"]);
      expect(image.updatedAt).toBe(image.createdAt);
      expect(await store.get(ctx, "i1")).toEqual(image);
      await store.create(ctx, { ...input, name: "i0" });
      expect((await store.list(ctx)).map((each) => each.name)).toEqual(["i0", "i1"]);
      expect(await store.list(ctx, ["name==i1,target.mediatype==m,annotations.x==y"])).toEqual([image]);
      expect(await store.list(contextFor("other"))).toEqual([]);
      await store.delete(ctx, "i1", { sync: true });
      await expect(store.get(ctx, "i1")).rejects.toMatchObject({ code: "notFound", message: 'image "i1"' });
    });

    check("refuses what containerd refuses", async (store) => {
      await store.create(ctx, input);
      const create = (changes: object) => store.create(ctx, { ...input, name: "new", ...changes });
      await expect(store.create(ctx, input)).rejects.toMatchObject({ code: "alreadyExists", message: 'image "i1"' });
      await expect(create({ name: "" })).rejects.toThrow("Image.Name required");
      for (const [wrong, problem] of [
        ["sha256:zz", "invalid checksum digest length"],
        ["zz", "invalid checksum digest format"],
        ["", "invalid checksum digest format"],
        [`md5:${"a".repeat(32)}`, "unsupported digest algorithm"],
      ]) {
        await expect(create({ target: { ...target, digest: wrong } })).rejects.toThrow(
          `Target.Digest "${wrong}" invalid: ${problem}`,
        );
      }
      await expect(create({ target: { ...target, size: 0 } })).rejects.toThrow("Target.Size must be greater than zero");
      await expect(create({ target: { ...target, mediaType: "" } })).rejects.toThrow("Target.MediaType must be set");
      await expect(create({ labels: { a: "b".repeat(4096) } })).rejects.toThrow(
        "image.Labels: label key and value length",
      );
      await expect(store.get(contextFor(""), "x")).rejects.toMatchObject({
        code: "failedPrecondition",
        message: "namespace is required",
      });
      await expect(store.list(contextFor("a b"))).rejects.toThrow('namespace validation: identifier "a b" must match');
      await expect(store.list(ctx, ["bad=="])).rejects.toMatchObject({ code: "invalidArgument" });
      expect(await store.list(ctx)).toHaveLength(1);
    });

    check("updates by path, or all", async (store) => {
      const { createdAt } = await store.create(ctx, input);
      const update = (changes: object, ...paths: string[]) => store.update(ctx, { ...input, ...changes }, paths);
      expect((await update({ labels: { a: "", q: "1" } }, "labels.a")).labels).toEqual({});
      expect((await update({ labels: { "x.y/z": "1" } }, "labels.x.y/z")).labels).toEqual({ "x.y/z": "1" });
      const annotated = { target: { ...target, annotations: { n: "q" } } };
      expect((await update(annotated, "annotations.n")).target.annotations).toEqual({ x: "y", n: "q" });
      expect((await update(annotated, "annotations")).target.annotations).toEqual({ n: "q" });
      const other = { ...target, digest: `sha256:${"b".repeat(64)}` };
      const moved = await update({ target: other }, "target");
      expect(moved.target).toEqual(other);
      expect(moved.labels).toEqual({ "x.y/z": "1" });
      const replaced = await update({});
      expect(replaced).toMatchObject({ createdAt, labels: { a: "b" }, target: { digest, annotations: { x: "y" } } });
      expect(replaced.updatedAt).toBeGreaterThan(createdAt);
      await expect(update({}, "name")).rejects.toThrow('cannot update "name" field on image "i1"');
      await expect(update({}, "target.digest")).rejects.toThrow('cannot update "target.digest" field on image "i1"');
      await expect(update({ target: { ...target, size: 0 } }, "target")).rejects.toThrow("Target.Size");
      await expect(update({ name: "i9" })).rejects.toMatchObject({ code: "notFound", message: 'image "i9"' });
      expect(await store.get(ctx, "i1")).toEqual(replaced);
    });

    check("deletes only if it still points there", async (store) => {
      await store.create(ctx, input);
      const wrong = { ...target, digest: `sha256:${"b".repeat(64)}` };
      await expect(store.delete(ctx, "i1", { target: wrong })).rejects.toMatchObject({
        code: "notFound",
        message: `image "i1" has target ${digest}, not ${wrong.digest}`,
      });
      await store.delete(ctx, "i1", { target });
      await expect(store.delete(ctx, "i1")).rejects.toMatchObject({ code: "notFound" });
    });

    check("lists more than a page", async (store) => {
      await Promise.all(Array.from({ length: 600 }, (_, index) => store.create(ctx, { ...input, name: `i${index}` })));
      expect(await store.list(ctx)).toHaveLength(600);
      const names = async (...filters: string[]) => (await store.list(ctx, filters)).map(({ name }) => name);
      expect(await names("name==i7", "name==i42,labels.a==b", "name==i9,labels.a==c", "name==none")).toEqual([
        "i42",
        "i7",
      ]);
      expect(await names("name==i7,name==i8")).toEqual([]);
    });
  });
}
