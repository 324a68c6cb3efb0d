import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync, statfsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LocalContentFixture } from "../content/fixture.ts";
import { contextFor } from "../context.ts";
import { PackerComparer } from "../diff/compare.ts";
import { withTemporaryMount } from "../mount/index.ts";
import { lendRootfs, returnRootfs } from "../mount/manager/lend.ts";
import { LocalMountManager } from "../mount/manager/manager.ts";
import { SnapshotterFixture } from "./fixture.ts";
import { NativeSnapshotter } from "./native.ts";
import { OverlaySnapshotter } from "./overlayfs.ts";

const able = process.getuid?.() === 0 && existsSync("/dev/loop-control") && Bun.which("mkfs.ext4") !== null;
const ctx = contextFor("default");
const labels = { "containerd.io/snapshot/max-size": "32m" };

describe.skipIf(!able)("a snapshot of limited size (needs root, loop, mkfs.ext4)", () => {
  for (const parent of ["", "base"]) {
    test(`${parent === "" ? "without" : "with"} a parent takes no more, and is committed and compared as any other`, async () => {
      await using fixture = new SnapshotterFixture((options) => new OverlaySnapshotter(options));
      const { snapshotter, metadata, directory } = fixture;
      const manager = new LocalMountManager({ metadata, targets: join(directory, "t"), roots: [fixture.root] });
      await withTemporaryMount(await snapshotter.prepare(ctx, "b", ""), (root) => {
        writeFileSync(join(root, "below"), "1");
        writeFileSync(join(root, "gone"), "1");
      });
      await snapshotter.commit(ctx, "base", "b");
      const mounts = await snapshotter.prepare(ctx, "a", parent, { labels });
      expect(await snapshotter.mounts(ctx, "a")).toEqual(mounts);
      const rootfs = await lendRootfs(manager, ctx, "container", mounts);
      await withTemporaryMount(rootfs, async (root) => {
        expect(statSync(root).mode & 0o777).toBe(0o755);
        const { blocks, bsize } = statfsSync(root);
        expect(blocks * bsize).toBeLessThan(32 << 20);
        expect(() => writeFileSync(join(root, "large"), Buffer.alloc(40 << 20))).toThrow("ENOSPC");
        rmSync(join(root, "large"));
        writeFileSync(join(root, "small"), "mine");
        rmSync(join(root, "gone"), { force: true });
        // While it is in use: the same file system, not a second one of the same file.
        await using content = new LocalContentFixture();
        const command = [process.execPath, join(import.meta.dirname, "../diff/packer/main.ts")];
        const comparer = new PackerComparer({ content: content.store, command, mounts: manager });
        const left = await snapshotter.view(ctx, "left", parent);
        const mediaType = "application/vnd.oci.image.layer.v1.tar";
        const { digest } = await comparer.compare(ctx, left, mounts, { mediaType });
        const layer = readFileSync(await content.store.path(ctx, digest), "latin1");
        expect([layer.includes("small"), layer.includes("mine"), layer.includes(".wh.gone")]).toEqual([
          true,
          true,
          parent !== "",
        ]);
        await expect(snapshotter.commit(ctx, "early", "a")).rejects.toMatchObject({ code: "failedPrecondition" });
      });
      expect((await snapshotter.usage(ctx, "a")).size).toBeGreaterThan(4096);
      await returnRootfs(manager, ctx, "container");
      await snapshotter.commit(ctx, "done", "a");
      await snapshotter.remove(ctx, "left");
      await withTemporaryMount(await snapshotter.view(ctx, "v", "done"), (root) => {
        expect(readFileSync(join(root, "small"), "utf8")).toBe("mine");
        expect([existsSync(join(root, "below")), existsSync(join(root, "gone"))]).toEqual([parent !== "", false]);
      });
    });
  }
});

describe("a limit of size", () => {
  test("that is none, or that a snapshotter doesn't know, is refused", async () => {
    await using overlay = new SnapshotterFixture((options) => new OverlaySnapshotter(options));
    await using native = new SnapshotterFixture((options) => new NativeSnapshotter(options));
    const bad = { labels: { "containerd.io/snapshot/max-size": "much" } };
    await expect(overlay.snapshotter.prepare(ctx, "a", "", bad)).rejects.toMatchObject({ code: "invalidArgument" });
    await expect(native.snapshotter.prepare(ctx, "a", "", { labels })).rejects.toMatchObject({ code: "unimplemented" });
  });
});
