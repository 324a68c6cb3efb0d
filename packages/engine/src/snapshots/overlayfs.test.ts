import { describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { contextFor } from "../context.ts";
import { SnapshotterFixture } from "./fixture.ts";
import { OverlaySnapshotter } from "./overlayfs.ts";
import { snapshotterSuite } from "./suite.ts";

const open = () => new SnapshotterFixture((options) => new OverlaySnapshotter(options));

snapshotterSuite("overlayfs", async () => open());

const ctx = contextFor("default");

describe("overlayfs", () => {
  test("mounts are containerd's, and so is the layout", async () => {
    await using fixture = open();
    const { snapshotter, root } = fixture;
    const at = (id: number, name: string) => `${root}/snapshots/${id}/${name}`;
    const index = existsSync("/sys/module/overlay/parameters/index") ? ["index=off"] : [];
    const mount = (type: string, source: string, options: string[]) => [{ type, source, target: "", options }];

    expect(await snapshotter.prepare(ctx, "a", "")).toEqual(mount("bind", at(1, "fs"), ["rw", "rbind"]));
    expect(readdirSync(join(root, "snapshots/1")).sort()).toEqual(["fs", "work"]);
    expect(statSync(join(root, "snapshots/1")).mode & 0o777).toBe(0o700);
    await snapshotter.commit(ctx, "one", "a");
    expect(await snapshotter.view(ctx, "v0", "")).toEqual(mount("bind", at(2, "fs"), ["ro", "rbind"]));
    expect(readdirSync(join(root, "snapshots/2"))).toEqual(["fs"]);
    expect(await snapshotter.view(ctx, "v1", "one")).toEqual(mount("bind", at(1, "fs"), ["ro", "rbind"]));
    expect(await snapshotter.prepare(ctx, "b", "one")).toEqual(
      mount("overlay", "overlay", [
        ...index,
        `workdir=${at(4, "work")}`,
        `upperdir=${at(4, "fs")}`,
        `lowerdir=${at(1, "fs")}`,
      ]),
    );
    await snapshotter.commit(ctx, "two", "b");
    expect(await snapshotter.view(ctx, "v2", "two")).toEqual(
      mount("overlay", "overlay", [...index, `lowerdir=${at(4, "fs")}:${at(1, "fs")}`]),
    );
  });

  test("shows the upper directory if asked to", async () => {
    await using fixture = new SnapshotterFixture(
      (options) => new OverlaySnapshotter({ ...options, upperdirLabel: true, mountOptions: ["volatile"] }),
    );
    await fixture.snapshotter.prepare(ctx, "a", "");
    const label = "containerd.io/snapshot/overlay.upperdir";
    expect((await fixture.snapshotter.stat(ctx, "a")).labels[label]).toBe(join(fixture.root, "snapshots/1/fs"));
    await fixture.snapshotter.commit(ctx, "c", "a");
    const [mount] = await fixture.snapshotter.prepare(ctx, "b", "c");
    expect(mount?.options).toContain("volatile");
  });

  test("publishes prepare, commit and remove, but no view", async () => {
    await using fixture = open();
    await fixture.snapshotter.prepare(ctx, "a", "");
    await fixture.snapshotter.commit(ctx, "c", "a");
    await fixture.snapshotter.view(ctx, "v", "c");
    await fixture.snapshotter.remove(ctx, "v");
    expect(fixture.published.map(({ topic }) => topic)).toEqual([
      "/snapshot/prepare",
      "/snapshot/commit",
      "/snapshot/remove",
    ]);
  });

  test("a lease holds what is made under it", async () => {
    await using fixture = open();
    const { sql } = fixture.metadata;
    sql.exec("INSERT INTO namespaces (name) VALUES ('default'); INSERT INTO leases VALUES ('default', 'l', '{}', 0)");
    const leased = contextFor("default", { lease: "l" });
    const held = () =>
      sql
        .prepare("SELECT type, id FROM lease_resources")
        .all()
        .map(({ type, id }) => `${type} ${id}`);
    await fixture.snapshotter.prepare(leased, "a", "");
    expect(held()).toEqual(["snapshots/overlayfs a"]);
    await fixture.snapshotter.commit(leased, "c", "a");
    expect(held()).toEqual(["snapshots/overlayfs c"]);
    await fixture.snapshotter.remove(leased, "c");
    expect(held()).toEqual([]);
  });

  test("removes the files in the background, or at once if asked to", async () => {
    await using fixture = open();
    await fixture.snapshotter.prepare(ctx, "a", "");
    await fixture.snapshotter.remove(ctx, "a");
    await fixture.snapshotter[Symbol.asyncDispose]();
    expect(readdirSync(join(fixture.root, "snapshots"))).toEqual([]);
    await using sync = new SnapshotterFixture((options) => new OverlaySnapshotter({ ...options, syncRemove: true }));
    await sync.snapshotter.prepare(ctx, "a", "");
    await sync.snapshotter.remove(ctx, "a");
    expect(readdirSync(join(sync.root, "snapshots"))).toEqual([]);
  });

  describe("after a crash", () => {
    test("directories without a record are removed, the others stay", async () => {
      await using fixture = open();
      const { snapshotter, root } = fixture;
      await snapshotter.prepare(ctx, "a", "");
      // Ended before the record was committed; between a removal's record and its files; between its steps.
      for (const left of ["2/fs", "2/work", "3", "rm-4-abcd/fs", "new-abcd/etc"]) {
        mkdirSync(join(root, "snapshots", left), { recursive: true });
      }
      await snapshotter.cleanup();
      expect(readdirSync(join(root, "snapshots"))).toEqual(["1"]);
    });

    test("an id that comes again, because its record was lost, starts empty", async () => {
      await using fixture = open();
      const { snapshotter, root } = fixture;
      mkdirSync(join(root, "snapshots/1/fs"), { recursive: true });
      writeFileSync(join(root, "snapshots/1/fs/stale"), "");
      await snapshotter.prepare(ctx, "a", "");
      expect(readdirSync(join(root, "snapshots/1/fs"))).toEqual([]);
      await snapshotter.cleanup();
      expect(readdirSync(join(root, "snapshots"))).toEqual(["1"]);
    });

    test("a step that fails leaves no record and no directory", async () => {
      await using fixture = open();
      const { snapshotter, root, metadata } = fixture;
      await snapshotter.prepare(ctx, "a", "");
      await snapshotter.commit(ctx, "c", "a");
      // The parent's files are gone: what is made of them can't be finished.
      renameSync(join(root, "snapshots/1/fs"), join(root, "snapshots/1/elsewhere"));
      await expect(snapshotter.prepare(ctx, "b", "c")).rejects.toThrow("ENOENT");
      expect(readdirSync(join(root, "snapshots"))).toEqual(["1"]);
      expect(metadata.sql.prepare("SELECT key FROM snapshots").all()).toEqual([{ key: "c" }]);
    });
  });

  test("a writable directory that a loss of power took is made again, as the layer below has it", async () => {
    await using fixture = open();
    const { snapshotter, root } = fixture;
    await snapshotter.prepare(ctx, "base", "");
    chmodSync(join(root, "snapshots/1/fs"), 0o700);
    await snapshotter.commit(ctx, "one", "base");
    const mounts = await snapshotter.prepare(ctx, "own", "one");
    rmSync(join(root, "snapshots/2"), { recursive: true });
    expect(await snapshotter.mounts(ctx, "own")).toEqual(mounts);
    expect(readdirSync(join(root, "snapshots/2")).sort()).toEqual(["fs", "work"]);
    expect(statSync(join(root, "snapshots/2/fs")).mode & 0o777).toBe(0o700);
  });
});
