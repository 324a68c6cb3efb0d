import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { getAttribute, makeDevice, makeNode, setAttribute } from "@hull/sys/files";
import { expectCode } from "../content/suite.ts";
import { type Context, contextFor } from "../context.ts";
import { readOnlyMounts, withTemporaryMount } from "../mount/index.ts";
import type { SnapshotInfo, Snapshotter } from "./index.ts";

/** A snapshotter to test, and how to take it down. */
export interface SnapshotterSubject extends AsyncDisposable {
  readonly snapshotter: Snapshotter;
}

/** What every snapshotter does, local or behind a socket. Mounts for real: needs root, else the tests are skipped. */
export function snapshotterSuite(
  name: string,
  open: () => Promise<SnapshotterSubject>,
  {
    asFile = false,
    repacked = false,
  }: {
    /** A snapshot is one file, whatever is in it. */
    asFile?: boolean;
    /** Committing makes something else of the files, of another size. */
    repacked?: boolean;
  } = {},
): void {
  const check = (what: string, body: (snapshotter: Snapshotter, ctx: Context) => Promise<void>) =>
    test.skipIf(process.getuid?.() !== 0)(`${what} (needs root: mounts)`, async () => {
      await using subject = await open();
      await body(subject.snapshotter, contextFor(`t-${randomBytes(4).toString("hex")}`));
    });

  /** Makes the committed snapshot `layer` of `parent` by changing its mounted tree. */
  async function commit(
    snapshotter: Snapshotter,
    ctx: Context,
    layer: string,
    parent: string,
    change: (root: string) => void,
  ): Promise<void> {
    const key = `making-${layer}`;
    await withTemporaryMount(await snapshotter.prepare(ctx, key, parent), change);
    await snapshotter.commit(ctx, layer, key);
  }

  /** Looks at a committed snapshot through a view. */
  async function look<T>(
    snapshotter: Snapshotter,
    ctx: Context,
    layer: string,
    see: (root: string) => T | Promise<T>,
  ): Promise<T> {
    const key = `looking-${randomBytes(4).toString("hex")}`;
    const mounts = await snapshotter.view(ctx, key, layer);
    try {
      return await withTemporaryMount(mounts, see);
    } finally {
      await snapshotter.remove(ctx, key);
    }
  }

  const file = (root: string, path: string, text = path) => writeFileSync(join(root, path), text);

  describe(name, () => {
    check("active becomes committed, and the base of others", async (snapshotter, ctx) => {
      await commit(snapshotter, ctx, "base", "", (root) => {
        file(root, "kept");
        file(root, "changed", "before");
        file(root, "deleted");
      });
      await commit(snapshotter, ctx, "top", "base", (root) => {
        file(root, "changed", "after");
        file(root, "new");
        rmSync(join(root, "deleted"));
      });
      await look(snapshotter, ctx, "top", (root) => {
        expect(readdirSync(root).sort()).toEqual(["changed", "kept", "new"]);
        expect(readFileSync(join(root, "changed"), "utf8")).toBe("after");
      });
      await look(snapshotter, ctx, "base", (root) => {
        expect(readdirSync(root).sort()).toEqual(["changed", "deleted", "kept"]);
        expect(readFileSync(join(root, "changed"), "utf8")).toBe("before");
      });
    });

    check("stat tells kind, parent, labels and times", async (snapshotter, ctx) => {
      await snapshotter.prepare(ctx, "a", "", { labels: { x: "1" } });
      const active = await snapshotter.stat(ctx, "a");
      expect(active).toMatchObject({ name: "a", parent: "", kind: "active", labels: { x: "1" } });
      await snapshotter.commit(ctx, "c", "a", { labels: { y: "2" } });
      await expectCode(snapshotter.stat(ctx, "a"), "notFound");
      const committed = await snapshotter.stat(ctx, "c");
      expect(committed).toMatchObject({ name: "c", parent: "", kind: "committed", labels: { y: "2" } });
      expect(committed.createdAt).toBeGreaterThanOrEqual(active.createdAt);
      await snapshotter.view(ctx, "v", "c");
      expect(await snapshotter.stat(ctx, "v")).toMatchObject({ name: "v", parent: "c", kind: "view" });
    });

    check("bad parents, keys and names are refused", async (snapshotter, ctx) => {
      await snapshotter.prepare(ctx, "a", "");
      await snapshotter.prepare(ctx, "b", "");
      expect(await expectCode(snapshotter.prepare(ctx, "x", "none"), "notFound")).toBe(
        "parent snapshot none does not exist",
      );
      expect(await expectCode(snapshotter.prepare(ctx, "x", "a"), "invalidArgument")).toContain(
        "is not committed snapshot",
      );
      expect(await expectCode(snapshotter.prepare(ctx, "a", ""), "alreadyExists")).toBe('snapshot "a"');
      await expectCode(snapshotter.view(ctx, "a", ""), "alreadyExists");
      await expectCode(snapshotter.prepare(ctx, "", ""), "invalidArgument");
      await expectCode(snapshotter.prepare(contextFor(""), "x", ""), "failedPrecondition");
      await expectCode(snapshotter.commit(ctx, "c", "none"), "notFound");
      await snapshotter.commit(ctx, "c", "a");
      await expectCode(snapshotter.commit(ctx, "c", "b"), "alreadyExists");
      await expectCode(snapshotter.commit(ctx, "d", "c"), "failedPrecondition");
      await snapshotter.view(ctx, "v", "c");
      await expectCode(snapshotter.commit(ctx, "d", "v"), "failedPrecondition");
      await expectCode(snapshotter.prepare(ctx, "x", "v"), "invalidArgument");
      for (const call of [
        () => snapshotter.stat(ctx, "x"),
        () => snapshotter.usage(ctx, "x"),
        () => snapshotter.mounts(ctx, "x"),
        () => snapshotter.remove(ctx, "x"),
      ]) {
        expect(await expectCode(call(), "notFound")).toBe("snapshot x does not exist");
      }
    });

    check("mounts are those of prepare; a committed snapshot has none", async (snapshotter, ctx) => {
      const made = await snapshotter.prepare(ctx, "a", "");
      expect(await snapshotter.mounts(ctx, "a")).toEqual(made);
      await snapshotter.commit(ctx, "c", "a");
      await expectCode(snapshotter.mounts(ctx, "c"), "failedPrecondition");
      const viewed = await snapshotter.view(ctx, "v", "c");
      expect(await snapshotter.mounts(ctx, "v")).toEqual(viewed);
    });

    check("a snapshot with children stays; without, it goes", async (snapshotter, ctx) => {
      await commit(snapshotter, ctx, "base", "", (root) => file(root, "f"));
      await snapshotter.prepare(ctx, "active", "base");
      await snapshotter.view(ctx, "view", "base");
      expect(await expectCode(snapshotter.remove(ctx, "base"), "failedPrecondition")).toContain(
        "cannot remove snapshot with child",
      );
      await snapshotter.remove(ctx, "active");
      await expectCode(snapshotter.remove(ctx, "base"), "failedPrecondition");
      await snapshotter.remove(ctx, "view");
      await snapshotter.remove(ctx, "base");
      expect(await Array.fromAsync(snapshotter.walk(ctx))).toEqual([]);
      await commit(snapshotter, ctx, "base", "", (root) => expect(readdirSync(root)).toEqual([]));
    });

    check("a view can't be written to", async (snapshotter, ctx) => {
      await commit(snapshotter, ctx, "one", "", (root) => file(root, "f"));
      await commit(snapshotter, ctx, "two", "one", (root) => file(root, "g"));
      for (const parent of ["", "one", "two"]) {
        await withTemporaryMount(await snapshotter.view(ctx, `v-${parent}`, parent), (root) => {
          expect(() => file(root, "x")).toThrow("EROFS");
        });
      }
    });

    check("walk gives all of the namespace, filtered", async (snapshotter, ctx) => {
      await snapshotter.prepare(ctx, "a", "", { labels: { "l.x/y": "1" } });
      await commit(snapshotter, ctx, "c", "", () => undefined);
      await snapshotter.view(ctx, "v", "c");
      await snapshotter.prepare(contextFor(`${ctx.namespace}-2`), "other", "");
      const names = async (...filters: string[]) => {
        const found: SnapshotInfo[] = await Array.fromAsync(snapshotter.walk(ctx, filters));
        return found.map((info) => info.name);
      };
      expect(await names()).toEqual(["a", "c", "v"]);
      expect(await names("kind==active")).toEqual(["a"]);
      expect(await names("parent==c")).toEqual(["v"]);
      expect(await names("name~=^[ac]$")).toEqual(["a", "c"]);
      expect(await names('labels."l.x/y"==1')).toEqual(["a"]);
      expect(await names("kind==view", "name==a")).toEqual(["a", "v"]);
    });

    check("labels are replaced, or changed one by one", async (snapshotter, ctx) => {
      await snapshotter.prepare(ctx, "a", "", { labels: { a: "1", b: "2" } });
      const labels = async (change: Record<string, string>, paths?: string[]) =>
        (await snapshotter.update(ctx, "a", change, paths)).labels;
      expect(await labels({ a: "3", c: "4" }, ["labels.c"])).toEqual({ a: "1", b: "2", c: "4" });
      expect(await labels({ n: "5" })).toEqual({ n: "5" });
      expect((await snapshotter.stat(ctx, "a")).labels).toEqual({ n: "5" });
      await expectCode(snapshotter.update(ctx, "a", {}, ["parent"]), "invalidArgument");
      await expectCode(snapshotter.update(ctx, "none", {}), "notFound");
    });

    check("of many who prepare one key at once, one gets it", async (snapshotter, ctx) => {
      await commit(snapshotter, ctx, "base", "", (root) => file(root, "f"));
      const tried = await Promise.allSettled(Array.from({ length: 8 }, () => snapshotter.prepare(ctx, "race", "base")));
      expect(tried.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
      for (const one of tried) {
        if (one.status === "rejected") await expectCode(Promise.reject(one.reason), "alreadyExists");
      }
      await snapshotter.remove(ctx, "race");
    });

    check("usage counts what a snapshot takes, a file with two names once", async (snapshotter, ctx) => {
      const key = "a";
      const mounts = await snapshotter.prepare(ctx, key, "");
      const before = await snapshotter.usage(ctx, key);
      await withTemporaryMount(mounts, (root) => {
        writeFileSync(join(root, "big"), randomBytes(1 << 20));
        linkSync(join(root, "big"), join(root, "same"));
        mkdirSync(join(root, "d"));
      });
      const after = await snapshotter.usage(ctx, key);
      expect(after.inodes - before.inodes).toBe(asFile ? 0 : 2);
      expect(after.size - before.size).toBeGreaterThanOrEqual(1 << 20);
      expect(after.size - before.size).toBeLessThan((1 << 20) + 65536);
      await snapshotter.commit(ctx, "c", key);
      const committed = await snapshotter.usage(ctx, "c");
      if (repacked) expect(committed.size).toBeGreaterThanOrEqual(1 << 20);
      else expect(committed).toEqual(after);
    });

    check("directories replaced by files and files by directories", async (snapshotter, ctx) => {
      await commit(snapshotter, ctx, "one", "", (root) => {
        mkdirSync(join(root, "d/e"), { recursive: true });
        file(root, "d/e/f");
        file(root, "x");
      });
      await commit(snapshotter, ctx, "two", "one", (root) => {
        rmSync(join(root, "d"), { recursive: true });
        file(root, "d", "a file now");
        rmSync(join(root, "x"));
        mkdirSync(join(root, "x"));
      });
      await commit(snapshotter, ctx, "three", "two", (root) => {
        rmSync(join(root, "d"));
        mkdirSync(join(root, "d"));
        file(root, "d/new");
      });
      await look(snapshotter, ctx, "three", (root) => {
        expect(readdirSync(join(root, "d"))).toEqual(["new"]);
        expect(statSync(join(root, "x")).isDirectory()).toBe(true);
      });
    });

    check("a directory deleted and made again is empty above (opaque)", async (snapshotter, ctx) => {
      await commit(snapshotter, ctx, "one", "", (root) => {
        mkdirSync(join(root, "d"));
        file(root, "d/old");
      });
      await commit(snapshotter, ctx, "two", "one", (root) => {
        rmSync(join(root, "d"), { recursive: true });
        mkdirSync(join(root, "d"));
        file(root, "d/new");
      });
      await commit(snapshotter, ctx, "three", "two", (root) => file(root, "d/newer"));
      await look(snapshotter, ctx, "three", (root) =>
        expect(readdirSync(join(root, "d")).sort()).toEqual(["new", "newer"]),
      );
    });

    check("files and directories of below are renamed", async (snapshotter, ctx) => {
      await commit(snapshotter, ctx, "one", "", (root) => {
        mkdirSync(join(root, "d"));
        file(root, "d/f", "text");
        file(root, "g", "other");
      });
      await commit(snapshotter, ctx, "two", "one", (root) => {
        renameSync(join(root, "d/f"), join(root, "d/f2"));
        renameSync(join(root, "g"), join(root, "d/f"));
      });
      await look(snapshotter, ctx, "two", (root) => {
        expect(readFileSync(join(root, "d/f2"), "utf8")).toBe("text");
        expect(readFileSync(join(root, "d/f"), "utf8")).toBe("other");
        expect(existsSync(join(root, "g"))).toBe(false);
      });
    });

    check("modes, owners, times, attributes, links and devices stay", async (snapshotter, ctx) => {
      await commit(snapshotter, ctx, "one", "", (root) => {
        file(root, "f", "text");
        chownSync(join(root, "f"), 12, 34);
        chmodSync(join(root, "f"), 0o4751);
        setAttribute(join(root, "f"), "user.hull", Buffer.from("value"));
        linkSync(join(root, "f"), join(root, "hard"));
        symlinkSync("../f", join(root, "soft"));
        makeNode(join(root, "null"), "character", 0o666, makeDevice(1, 3));
        utimesSync(join(root, "f"), 1_000_000.5, 1_000_000.25);
      });
      await commit(snapshotter, ctx, "two", "one", (root) => file(root, "above"));
      await commit(snapshotter, ctx, "three", "two", (root) => chmodSync(join(root, "f"), 0o600));
      for (const [layer, mode] of [
        ["two", 0o4751],
        ["three", 0o600],
      ] as const) {
        await look(snapshotter, ctx, layer, (root) => {
          const stats = lstatSync(join(root, "f"));
          expect([stats.uid, stats.gid, stats.mode & 0o7777, stats.mtimeMs]).toEqual([12, 34, mode, 1_000_000_250]);
          expect(Buffer.from(getAttribute(join(root, "f"), "user.hull") ?? []).toString()).toBe("value");
          expect(lstatSync(join(root, "soft")).isSymbolicLink()).toBe(true);
          expect(lstatSync(join(root, "null")).rdev).toBe(259);
        });
      }
      await look(snapshotter, ctx, "two", (root) =>
        expect(lstatSync(join(root, "f")).ino).toBe(lstatSync(join(root, "hard")).ino),
      );
    });

    check("the root directory keeps its mode and owner", async (snapshotter, ctx) => {
      await commit(snapshotter, ctx, "one", "", (root) => {
        expect(statSync(root).mode & 0o7777).toBe(0o755);
        chmodSync(root, 0o1711);
        chownSync(root, 5, 6);
      });
      await commit(snapshotter, ctx, "two", "one", () => undefined);
      await look(snapshotter, ctx, "two", (root) => {
        const { mode, uid, gid } = statSync(root);
        expect([mode & 0o7777, uid, gid]).toEqual([0o1711, 5, 6]);
      });
    });

    check("sixty-four layers", async (snapshotter, ctx) => {
      let parent = "";
      for (let layer = 0; layer < 64; layer++) {
        await commit(snapshotter, ctx, `layer-${layer}`, parent, (root) => {
          file(root, `f-${layer}`);
          file(root, "same", String(layer));
          if (layer > 0) rmSync(join(root, `f-${layer - 1}`));
        });
        parent = `layer-${layer}`;
      }
      const see = (root: string) => {
        expect(readdirSync(root).sort()).toEqual(["f-63", "same"]);
        expect(readFileSync(join(root, "same"), "utf8")).toBe("63");
      };
      await look(snapshotter, ctx, parent, see);
      const mounts = await snapshotter.prepare(ctx, "top", parent);
      await withTemporaryMount(readOnlyMounts(mounts), (root) => {
        see(root);
        expect(() => file(root, "x")).toThrow("EROFS");
      });
    });

    check("a parent given at commit, where the snapshotter can", async (snapshotter, ctx) => {
      await commit(snapshotter, ctx, "one", "", (root) => file(root, "f1"));
      await withTemporaryMount(await snapshotter.prepare(ctx, "apart", ""), (root) => file(root, "f2"));
      if (!snapshotter.capabilities.includes("rebase")) {
        await expectCode(snapshotter.commit(ctx, "two", "apart", { parent: "one" }), "unimplemented");
        return;
      }
      await snapshotter.prepare(ctx, "active", "");
      await expectCode(snapshotter.commit(ctx, "two", "apart", { parent: "none" }), "notFound");
      await expectCode(snapshotter.commit(ctx, "two", "apart", { parent: "active" }), "invalidArgument");
      await snapshotter.commit(ctx, "two", "apart", { parent: "one" });
      expect((await snapshotter.stat(ctx, "two")).parent).toBe("one");
      await look(snapshotter, ctx, "two", (root) => expect(readdirSync(root).sort()).toEqual(["f1", "f2"]));
      await commit(snapshotter, ctx, "other", "", () => undefined);
      await snapshotter.prepare(ctx, "child", "one");
      await expectCode(snapshotter.commit(ctx, "x", "child", { parent: "other" }), "failedPrecondition");
      await snapshotter.commit(ctx, "x", "child", { parent: "one" });
    });

    check("a target that is there already needs no making", async (snapshotter, ctx) => {
      await commit(snapshotter, ctx, "chain", "", () => undefined);
      const labels = { "containerd.io/snapshot.ref": "chain" };
      expect(await expectCode(snapshotter.prepare(ctx, "k", "", { labels }), "alreadyExists")).toContain("chain");
      await expectCode(snapshotter.stat(ctx, "k"), "notFound");
    });

    check("owners are mapped, or it is said that they can't be", async (snapshotter, ctx) => {
      const [uids, gids] = ["containerd.io/snapshot/uidmapping", "containerd.io/snapshot/gidmapping"] as const;
      const labels = { [uids]: "0:1000:65536", [gids]: "0:2000:65536" };
      if (!snapshotter.capabilities.includes("remap-ids")) {
        await expectCode(snapshotter.prepare(ctx, "k", "", { labels }), "unimplemented");
        return;
      }
      await commit(snapshotter, ctx, "one", "", (root) => writeFileSync(join(root, "f"), ""));
      await commit(snapshotter, ctx, "two", "one", (root) => {
        writeFileSync(join(root, "g"), "");
        chownSync(join(root, "g"), 5, 6);
      });
      const owners = (root: string) =>
        [root, ...readdirSync(root).map((name) => join(root, name))].map((path) => [
          statSync(path).uid,
          statSync(path).gid,
        ]);
      const wanted = [
        [1000, 2000],
        [1000, 2000],
        [1005, 2006],
      ];
      expect(await withTemporaryMount(await snapshotter.prepare(ctx, "k", "two", { labels }), owners)).toEqual(wanted);
      expect(await withTemporaryMount(await snapshotter.mounts(ctx, "k"), owners)).toEqual(wanted);
      expect(await withTemporaryMount(await snapshotter.view(ctx, "v", "two", { labels }), owners)).toEqual(wanted);
      expect(
        await withTemporaryMount(await snapshotter.mounts(ctx, "k"), (root) => writeFileSync(join(root, "h"), "")),
      ).toBe(undefined);
      await expectCode(snapshotter.prepare(ctx, "x", "", { labels: { [uids]: "0:1000:65536" } }), "invalidArgument");
      await expectCode(
        snapshotter.prepare(ctx, "x", "", { labels: { ...labels, [uids]: "1:1:1" } }),
        "invalidArgument",
      );
    });
  });
}
