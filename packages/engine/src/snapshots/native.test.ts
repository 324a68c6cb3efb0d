import { describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expectCode } from "../content/suite.ts";
import { contextFor } from "../context.ts";
import { SnapshotterFixture } from "./fixture.ts";
import { NativeSnapshotter } from "./native.ts";
import { snapshotterSuite } from "./suite.ts";

const open = () => new SnapshotterFixture((options) => new NativeSnapshotter(options));

snapshotterSuite("native", async () => open());

const ctx = contextFor("default");

describe("native", () => {
  test("a copy keeps holes", async () => {
    await using fixture = open();
    const [mount] = await fixture.snapshotter.prepare(ctx, "a", "");
    const sparse = join(mount?.source ?? "", "sparse");
    writeFileSync(sparse, "");
    truncateSync(sparse, 64 << 20);
    await fixture.snapshotter.commit(ctx, "c", "a");
    const [copy] = await fixture.snapshotter.prepare(ctx, "b", "c");
    const stats = statSync(join(copy?.source ?? "", "sparse"));
    expect(stats.size).toBe(64 << 20);
    expect(stats.blocks * 512).toBeLessThan(1 << 20);
  });

  test("an aborted prepare leaves nothing", async () => {
    await using fixture = open();
    const [mount] = await fixture.snapshotter.prepare(ctx, "a", "");
    for (let n = 0; n < 2000; n++) writeFileSync(join(mount?.source ?? "", `f${n}`), "x");
    await fixture.snapshotter.commit(ctx, "c", "a");
    const signal = AbortSignal.timeout(2);
    await expect(fixture.snapshotter.prepare(contextFor("default", { signal }), "b", "c")).rejects.toThrow();
    await expectCode(fixture.snapshotter.stat(ctx, "b"), "notFound");
    expect(readdirSync(join(fixture.root, "snapshots"))).toEqual(["1"]);
  });

  test("a copy cut short by a crash is removed", async () => {
    await using fixture = open();
    mkdirSync(join(fixture.root, "snapshots/new-0123/etc"), { recursive: true });
    await fixture.snapshotter.cleanup();
    expect(readdirSync(join(fixture.root, "snapshots"))).toEqual([]);
  });
});
