import { describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HullError } from "@hull/errors";
import fc from "fast-check";
import { contextFor } from "../context.ts";
import { Metadata } from "../metadata/index.ts";
import { SnapshotterFixture } from "./fixture.ts";
import type { SnapshotKind } from "./index.ts";
import { OverlaySnapshotter } from "./overlayfs.ts";

const ctx = contextFor("default");

/** The child: prepares, commits and removes without end, and says when it has begun. */
const churn = `
  import { contextFor } from ${JSON.stringify(join(import.meta.dir, "../context.ts"))};
  import { Metadata } from ${JSON.stringify(join(import.meta.dir, "../metadata/index.ts"))};
  import { OverlaySnapshotter } from ${JSON.stringify(join(import.meta.dir, "overlayfs.ts"))};
  import { mkdirSync } from "node:fs";
  const [directory] = process.argv.slice(-1);
  const metadata = Metadata.open(directory);
  const snapshotter = new OverlaySnapshotter({ metadata, events: { publish() {} }, root: directory + "/root" });
  const ctx = contextFor("default");
  await snapshotter.prepare(ctx, "base-active", "");
  await snapshotter.commit(ctx, "base", "base-active");
  for (let n = 0; ; n++) {
    const [mount] = await snapshotter.prepare(ctx, "a" + n, n % 3 === 0 ? "" : "base");
    if (n % 3 === 0) mkdirSync(mount.source + "/x/y/z", { recursive: true });
    if (n % 5 === 0) await snapshotter.commit(ctx, "c" + n, "a" + n);
    else await snapshotter.remove(ctx, "a" + n);
    if (n === 20) console.log("going");
  }
`;

describe("after kill -9 in the middle of changes", () => {
  for (const delay of [0, 7, 23]) {
    test(`every record has its directory, and cleanup leaves no other (${delay} ms later)`, async () => {
      const directory = mkdtempSync(join(tmpdir(), "hull-snapshots-kill-"));
      try {
        const child = Bun.spawn([process.execPath, "-e", churn, directory], { stdout: "pipe", stderr: "inherit" });
        for await (const _ of child.stdout) break;
        await Bun.sleep(delay);
        child.kill("SIGKILL");
        await child.exited;

        using metadata = Metadata.open(directory);
        const root = join(directory, "root");
        await using snapshotter = new OverlaySnapshotter({ metadata, events: { publish: () => undefined }, root });
        const rows = metadata.sql.prepare("SELECT id, kind FROM snapshots ORDER BY id").all();
        expect(rows.length).toBeGreaterThan(3);
        for (const { id } of rows) expect(existsSync(join(root, "snapshots", String(id), "fs"))).toBe(true);
        await snapshotter.cleanup();
        const left = readdirSync(join(root, "snapshots")).sort((a, b) => Number(a) - Number(b));
        expect(left).toEqual(rows.map(({ id }) => String(id)));
        await snapshotter.prepare(ctx, "next", "base");
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    });
  }
});

/** What a snapshotter is to do, in a few lines. */
class Model {
  readonly snapshots = new Map<string, { kind: SnapshotKind; parent: string }>();

  /** The class of the error, or nothing. */
  create(kind: SnapshotKind, key: string, parent: string): string | undefined {
    if (this.snapshots.has(key)) return "alreadyExists";
    if (parent !== "") {
      const above = this.snapshots.get(parent);
      if (above === undefined) return "notFound";
      if (above.kind !== "committed") return "invalidArgument";
    }
    this.snapshots.set(key, { kind, parent });
    return undefined;
  }

  commit(name: string, key: string): string | undefined {
    const from = this.snapshots.get(key);
    if (from === undefined) return "notFound";
    if (name !== key && this.snapshots.has(name)) return "alreadyExists";
    if (from.kind !== "active") return "failedPrecondition";
    this.snapshots.delete(key);
    this.snapshots.set(name, { ...from, kind: "committed" });
    return undefined;
  }

  remove(key: string): string | undefined {
    if (!this.snapshots.has(key)) return "notFound";
    if ([...this.snapshots.values()].some(({ parent }) => parent === key)) return "failedPrecondition";
    this.snapshots.delete(key);
    return undefined;
  }
}

test("any sequence of calls does what the model does", async () => {
  const key = fc.constantFrom("a", "b", "c", "d");
  const parent = fc.constantFrom("", "a", "b", "c", "d");
  const call = fc.oneof(
    fc.record({ call: fc.constantFrom("prepare" as const, "view" as const, "commit" as const), key, other: parent }),
    fc.record({ call: fc.constant("remove" as const), key, other: fc.constant("") }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(call, { maxLength: 30 }), async (calls) => {
      await using fixture = new SnapshotterFixture((options) => new OverlaySnapshotter(options));
      const { snapshotter } = fixture;
      const model = new Model();
      for (const { call: what, key: one, other } of calls) {
        const code = await ((): Promise<unknown> => {
          switch (what) {
            case "prepare":
              return snapshotter.prepare(ctx, one, other);
            case "view":
              return snapshotter.view(ctx, one, other);
            case "commit":
              return snapshotter.commit(ctx, other === "" ? "z" : other, one);
            case "remove":
              return snapshotter.remove(ctx, one);
          }
        })().then(
          () => undefined,
          (error: unknown) => (error instanceof HullError ? error.code : String(error)),
        );
        const expected =
          what === "remove"
            ? model.remove(one)
            : what === "commit"
              ? model.commit(other === "" ? "z" : other, one)
              : model.create(what === "prepare" ? "active" : "view", one, other);
        expect([what, one, other, code]).toEqual([what, one, other, expected]);
      }
      const seen = (await Array.fromAsync(snapshotter.walk(ctx))).map(({ name, kind, parent: above }) => [
        name,
        { kind, parent: above },
      ]);
      expect(Object.fromEntries(seen)).toEqual(Object.fromEntries(model.snapshots));
      await snapshotter.cleanup();
      expect(readdirSync(join(fixture.root, "snapshots"))).toHaveLength(model.snapshots.size);
    }),
    { numRuns: 40 },
  );
});
