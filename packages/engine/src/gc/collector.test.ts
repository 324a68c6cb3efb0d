import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { contextFor } from "../context.ts";
import { MetadataFixture } from "../metadata/fixture.ts";
import { ensureNamespace } from "../metadata/index.ts";
import type { SqlDatabase } from "../metadata/sql.ts";
import { WriteBarrier } from "./barrier.ts";
import { mark } from "./mark.ts";
import { readGraph } from "./records.ts";
import { sweep } from "./sweep.ts";

const ctx = contextFor("default");
const digest = (index: number) => `sha256:${index.toString(16).padStart(64, "0")}`;
const target = (index: number) => ({ mediaType: "m", digest: digest(index), size: 1 });
const past = "2001-01-01T00:00:00Z";
const future = "2100-01-01T00:00:00Z";

function addBlob(sql: SqlDatabase, index: number, labels: Record<string, string> = {}, namespace = "default"): void {
  ensureNamespace(sql, namespace);
  sql.prepare("INSERT INTO blobs VALUES (?, ?, 1, ?, 0, 0)").run(namespace, digest(index), JSON.stringify(labels));
}

function addSnapshot(sql: SqlDatabase, key: string, parent = "", labels: Record<string, string> = {}): void {
  ensureNamespace(sql, "default");
  sql
    .prepare(
      `INSERT INTO snapshots (namespace, snapshotter, key, parent_id, kind, labels, created_at, updated_at)
       VALUES ('default', 'overlayfs', ?, (SELECT id FROM snapshots WHERE key = ?), 'committed', ?, 0, 0)`,
    )
    .run(key, parent, JSON.stringify(labels));
}

function blobs(sql: SqlDatabase, namespace = "default"): number[] {
  const rows = sql.prepare("SELECT digest FROM blobs WHERE namespace = ? ORDER BY digest").all(namespace);
  return rows.map((row) => Number.parseInt(String(row.digest).slice(7), 16));
}

function snapshots(sql: SqlDatabase): string[] {
  return sql
    .prepare("SELECT key FROM snapshots ORDER BY key")
    .all()
    .map((row) => String(row.key));
}

const container = { runtime: { name: "r" }, spec: { typeUrl: "t", value: new Uint8Array() }, image: "", sandbox: "" };

describe("a collection", () => {
  test("keeps activated mounts that are leased, referred to, or still being made", async () => {
    await using fixture = new MetadataFixture();
    const { metadata, stores, collector } = fixture;
    const add = (name: string, labels: Record<string, string> = {}, lease = "", info: string | null = "{}") =>
      metadata.sql
        .prepare(
          "INSERT INTO mounts (namespace, name, labels, lease, info, created_at, updated_at) VALUES ('default', ?, ?, ?, ?, 0, 0)",
        )
        .run(name, JSON.stringify(labels), lease, info);
    const { id } = await stores.leases.create(ctx, "l", {});
    await stores.containers.create(ctx, {
      ...container,
      id: "c",
      labels: {},
      snapshotter: "",
      snapshotKey: "",
      extensions: {},
    });
    addBlob(metadata.sql, 1, { "containerd.io/gc.root": "yes", "containerd.io/gc.ref.mount.a": "of-content" });
    add("nobody's");
    add("leased", {}, id);
    add("lost-lease", {}, "gone");
    add("of-container", { "containerd.io/gc.bref.container": "c" });
    add("of-another", { "containerd.io/gc.bref.container": "d" });
    add("of-content");
    add("unfinished", {}, "", null);
    await collector.collect();
    const rows = metadata.sql.prepare("SELECT name FROM mounts ORDER BY name").all();
    expect(rows.map(({ name }) => name)).toEqual(["leased", "of-container", "of-content", "unfinished"]);
  });

  test("keeps what images, containers, sandboxes, leases and labels reach, and tells of the rest", async () => {
    await using fixture = new MetadataFixture();
    const { metadata, stores, collector } = fixture;
    const { sql } = metadata;
    addBlob(sql, 1, {
      "containerd.io/gc.ref.content.config": digest(2),
      "containerd.io/gc.ref.content.l.0": digest(3),
    });
    addBlob(sql, 2, { "containerd.io/gc.ref.snapshot.overlayfs": "top" });
    for (const index of [3, 4, 5, 6]) addBlob(sql, index);
    addBlob(sql, 7, { "containerd.io/gc.root": "yes" });
    addBlob(sql, 8, { "containerd.io/gc.expire": past });
    addBlob(sql, 9, { "containerd.io/gc.expire": future });
    addBlob(sql, 10, { "containerd.io/gc.bref.container": "c1" });
    addBlob(sql, 11, { "containerd.io/gc.bref.container": "c2" });
    addBlob(sql, 1, {}, "other");
    addSnapshot(sql, "base");
    addSnapshot(sql, "top", "base");
    addSnapshot(sql, "rootfs", "base");
    addSnapshot(sql, "dead");
    addSnapshot(sql, "dead-child", "dead");
    await stores.images.create(ctx, { name: "i", target: target(1) });
    await stores.images.create(ctx, { name: "old", target: target(4), labels: { "containerd.io/gc.expire": past } });
    await stores.containers.create(ctx, {
      ...container,
      id: "c1",
      labels: {},
      snapshotter: "overlayfs",
      snapshotKey: "rootfs",
      extensions: {},
    });
    const sandboxLabels = { "containerd.io/gc.ref.content.x": digest(5) };
    await stores.sandboxes.create(ctx, {
      ...container,
      id: "s",
      labels: sandboxLabels,
      sandboxer: "shim",
      extensions: {},
    });
    for (let count = 0; count < 3; count++) await fixture.event();

    const { removed } = await collector.collect();
    expect(removed).toEqual({ images: 1, content: 5, snapshots: 2, leases: 0, ingests: 0 });
    expect(blobs(sql)).toEqual([1, 2, 3, 5, 7, 9, 10]);
    expect(blobs(sql, "other")).toEqual([]);
    expect(snapshots(sql)).toEqual(["base", "rootfs", "top"]);
    expect(fixture.cleanUps).toBe(1);
    const told = await Promise.all(Array.from({ length: 8 }, () => fixture.event()));
    const texts = told.map((event) => `${event?.namespace} ${event?.topic} ${JSON.stringify(event?.message)}`);
    expect(texts).toContain(`default /images/delete {"name":"old"}`);
    expect(texts).toContain(`other /content/delete {"digest":"${digest(1)}"}`);
    const child = texts.indexOf('default /snapshot/remove {"key":"dead-child","snapshotter":"overlayfs"}');
    const parent = texts.indexOf('default /snapshot/remove {"key":"dead","snapshotter":"overlayfs"}');
    expect(child).toBeGreaterThanOrEqual(0);
    expect(parent).toBeGreaterThan(child);
  });

  test("leases keep what they hold and its references; flat ones only that; expired ones nothing", async () => {
    await using fixture = new MetadataFixture();
    const { stores, collector } = fixture;
    const { sql } = fixture.metadata;
    for (const index of [10, 20, 30]) {
      addBlob(sql, index, { "containerd.io/gc.ref.content": digest(index + 1) });
      addBlob(sql, index + 1);
    }
    addSnapshot(sql, "base");
    addSnapshot(sql, "top", "base", { "containerd.io/gc.ref.content": digest(31) });
    await stores.leases.create(ctx, "full", { "containerd.io/gc.expire": future });
    await stores.leases.create(ctx, "flat", { "containerd.io/gc.flat": "true" });
    await stores.leases.create(ctx, "over", { "containerd.io/gc.expire": past });
    await stores.leases.addResource(ctx, "full", { type: "content", id: digest(10) });
    await stores.leases.addResource(ctx, "flat", { type: "content", id: digest(20) });
    await stores.leases.addResource(ctx, "flat", { type: "snapshots/overlayfs", id: "top" });
    await stores.leases.addResource(ctx, "over", { type: "content", id: digest(30) });
    const insert = "INSERT INTO ingests (namespace, ref, expected, expires_at) VALUES ('default', ?, '', ?)";
    sql.prepare(insert).run("running", 4_000_000_000_000_000_000n);
    sql.prepare(insert).run("stale", 1n);
    sql.prepare(insert).run("leased", null);
    sql.prepare(insert).run("lost", null);
    await stores.leases.addResource(ctx, "full", { type: "ingests", id: "leased" });
    const { removed } = await collector.collect();
    expect(removed).toEqual({ images: 0, content: 3, snapshots: 0, leases: 1, ingests: 2 });
    expect(blobs(sql)).toEqual([10, 11, 20]);
    expect(snapshots(sql)).toEqual(["base", "top"]);
    expect((await stores.leases.list(ctx)).map(({ id }) => id)).toEqual(["flat", "full"]);
    await stores.leases.delete(ctx, "full", { sync: true });
    expect(blobs(sql)).toEqual([20]);
  });

  test("what is written while it runs keeps all that it refers to, wherever the run stands", async () => {
    // A chain of blobs that nothing keeps; at some step of the run something comes to refer to a link of it.
    const write = fc.record({
      atStep: fc.nat({ max: 12 }),
      link: fc.nat({ max: 9 }),
      how: fc.constantFrom("image", "lease", "label", "container", "sandbox", "back reference"),
    });
    await fc.assert(
      fc.asyncProperty(write, async ({ atStep, link, how }) => {
        await using fixture = new MetadataFixture();
        const { metadata } = fixture;
        const { sql } = metadata;
        for (let index = 0; index < 10; index++) {
          addBlob(sql, index, index < 9 ? { "containerd.io/gc.ref.content": digest(index + 1) } : {});
        }
        addBlob(sql, 500, { "containerd.io/gc.bref.container": "owner", "containerd.io/gc.ref.content": digest(link) });
        addBlob(sql, 501, { "containerd.io/gc.root": "1" });
        addBlob(sql, 502, {});
        const present = () => sql.prepare("SELECT 1 FROM blobs WHERE digest = ?").get(digest(link)) !== undefined;
        const reference = { "containerd.io/gc.ref.content": digest(link), "containerd.io/gc.root": "1" };
        const labels = JSON.stringify(reference);
        const writes: Record<string, () => void> = {
          image: () =>
            sql.prepare("INSERT INTO images VALUES ('default', 'i', '{}', ?, 'm', 1, '{}', 0, 0)").run(digest(link)),
          lease: () => {
            sql.exec("INSERT INTO leases VALUES ('default', 'l', '{}', 0)");
            sql.prepare("INSERT INTO lease_resources VALUES ('default', 'l', 'content', ?)").run(digest(link));
          },
          label: () => sql.prepare("UPDATE blobs SET labels = ? WHERE digest = ?").run(labels, digest(501)),
          container: () => addContainer(sql, "c", labels),
          "back reference": () => addContainer(sql, "owner", "{}"),
          sandbox: () =>
            sql
              .prepare(
                "INSERT INTO sandboxes VALUES ('default', 's', ?, 'r', NULL, NULL, NULL, NULL, 'shim', '{}', 0, 0)",
              )
              .run(labels),
        };
        let step = 0;
        let kept = false;
        const perhapsWrite = () => {
          if (step++ !== atStep) return;
          // As in the stores: who finds it there and refers to it in one transaction may count on it.
          metadata.write(() => {
            kept = present() && (how !== "back reference" || blobs(sql).includes(500));
            if (kept) writes[how]?.();
          });
        };
        runWith(fixture, perhapsWrite);
        perhapsWrite();
        const expected = kept ? Array.from({ length: 10 - link }, (_, index) => link + index) : [];
        expect(blobs(sql).filter((index) => index < 10)).toEqual(expect.arrayContaining(expected));
        await fixture.collector.collect();
        expect(blobs(sql).filter((index) => index < 10)).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });

  test("waits for its turn: a caller gets a run that began after the call", async () => {
    await using fixture = new MetadataFixture();
    const { sql } = fixture.metadata;
    const first = fixture.collector.collect();
    addBlob(sql, 1);
    const [second, third] = [fixture.collector.collect(), fixture.collector.collect()];
    await first;
    await Promise.all([second, third]);
    expect(blobs(sql)).toEqual([]);
    expect(fixture.cleanUps).toBe(2);
  });

  test("a schedule runs it after deletions", async () => {
    await using fixture = new MetadataFixture({ startupDelay: 0, pauseThreshold: 0.5 });
    const { sql } = fixture.metadata;
    addBlob(sql, 1);
    await fixture.stores.images.create(ctx, { name: "i", target: target(1) });
    await fixture.event();
    await fixture.collector.collect();
    expect(blobs(sql)).toEqual([1]);
    await fixture.stores.images.delete(ctx, "i");
    expect((await fixture.event())?.topic).toBe("/images/delete");
    expect((await fixture.event())?.topic).toBe("/content/delete");
  });
});

function addContainer(sql: SqlDatabase, id: string, labels: string): void {
  sql
    .prepare("INSERT INTO containers VALUES ('default', ?, ?, '', 'r', NULL, NULL, 't', x'', '', '', '', '{}', 0, 0)")
    .run(id, labels);
}

/** A run whose every step is followed by `between`. */
function runWith({ metadata, events }: MetadataFixture, between: () => void): void {
  using barrier = new WriteBarrier(metadata.sql);
  const finish = <T>(work: Generator<void, T, void>): T => {
    for (;;) {
      const step = work.next();
      if (step.done) return step.value;
      between();
    }
  };
  const now = 1_800_000_000_000_000_000n;
  const { graph, expiredLeases } = finish(readGraph(metadata.sql, "default", now));
  between();
  const reached = finish(mark(graph));
  between();
  const removed = { images: 0, content: 0, snapshots: 0, leases: 0, ingests: 0 };
  finish(sweep({ metadata, events, barrier, namespace: "default", graph, reached, expiredLeases, removed }));
}
