import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { isCode } from "@hull/errors";
import { mountAll, unmountAll } from "@hull/sys/mount";
import fc from "fast-check";
import { LocalContentFixture } from "../content/fixture.ts";
import { contextFor } from "../context.ts";
import type { Mount } from "../mount/index.ts";
import { PackerComparer } from "./compare.ts";
import type { CompareOptions } from "./index.ts";
import { Bench, bind, describeTree, overlay } from "./testing.ts";

const root = process.getuid?.() === 0;
const command = [process.execPath, join(import.meta.dirname, "packer", "main.ts")];
const plain = "application/vnd.oci.image.layer.v1.tar";

/** A step that changes a tree; one that is impossible does nothing. */
type Step = readonly [
  what: "file" | "directory" | "link" | "symlink" | "remove" | "mode" | "time",
  path: string,
  more: string,
];

const path = fc
  .array(fc.constantFrom("a", "b", "a.b", "é"), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join("/"));
const step: fc.Arbitrary<Step> = fc.tuple(
  fc.constantFrom("file", "file", "directory", "directory", "link", "symlink", "remove", "mode", "time"),
  path,
  path,
);

function perform(directory: string, [what, name, more]: Step): void {
  const at = join(directory, name);
  try {
    if (what === "file") writeFileSync(at, more);
    else if (what === "directory") mkdirSync(at);
    else if (what === "link") linkSync(join(directory, more), at);
    else if (what === "symlink") symlinkSync(more, at);
    else if (what === "remove") rmSync(at, { recursive: true });
    else if (what === "mode") chmodSync(at, 0o700 + more.length);
    else lutimesSync(at, more.length, more.length);
  } catch {
    // Nothing there, or something else: then this step is none.
  }
}

/** Whole seconds, which is what layers keep. */
function settle(directory: string): void {
  Bun.spawnSync(["find", directory, "-newermt", "2000-01-01", "-exec", "touch", "-h", "-d", "@1000", "{}", ";"]);
}

/** Makes the mounts, lets `work` change what they show, and takes them down. */
function change(mounts: readonly Mount[], at: string, work: (directory: string) => void): void {
  mountAll(mounts, at);
  try {
    work(at);
  } finally {
    unmountAll(at);
  }
}

class Packing implements AsyncDisposable {
  readonly bench = new Bench();
  readonly fixture = new LocalContentFixture();
  readonly comparer = new PackerComparer({ content: this.fixture.store, command, temporary: this.bench.path });
  readonly context = contextFor("test");

  async layer(left: readonly Mount[], right: readonly Mount[], options: CompareOptions = {}): Promise<Uint8Array> {
    const { digest } = await this.comparer.compare(this.context, left, right, { mediaType: plain, ...options });
    return readFileSync(await this.fixture.store.path(this.context, digest));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.bench[Symbol.dispose]();
    await this.fixture[Symbol.asyncDispose]();
  }
}

const shown = (directory: string) =>
  // An overlay tells other numbers of blocks for directories and symbolic links, and its times of directories are its own.
  describeTree(directory).map((line) => line.replace(/^(\S+ 4\d{4} \S+) \S+/, "$1"));

describe.skipIf(!root)("compare (needs root)", () => {
  test("what apply makes of a difference is the tree that was compared", async () => {
    await using packing = new Packing();
    const { bench } = packing;
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 3, maxLength: 12 }),
        fc.array(step, { minLength: 1, maxLength: 12 }),
        async (before, after) => {
          const [lower, upper, work] = [bench.directory(), bench.directory(), bench.directory()];
          const [copy, place] = [bench.directory(), bench.directory()];
          for (const one of before) perform(lower, one);
          settle(lower);
          const mounts = overlay(upper, work, [lower]);
          let wanted: string[] = [];
          change(mounts, place, (directory) => {
            for (const one of after) perform(directory, one);
            settle(directory);
            wanted = shown(directory);
          });
          const left = [{ type: "bind", source: lower, target: "", options: ["ro", "rbind"] }];
          const fast = await packing.layer(left, mounts);
          // Not seen to be the layer below, so all files are compared.
          const slow = await packing.layer(
            [{ type: "bind", source: `${lower}/.`, target: "", options: ["ro", "rbind"] }],
            mounts,
          );
          expect(Buffer.compare(fast, slow)).toBe(0);
          await bench.apply(bind(copy), await packing.layer([], left));
          await bench.apply(bind(copy), fast);
          expect(shown(copy)).toEqual(wanted);
        },
      ),
      { numRuns: Number(process.env.HULL_FUZZ_RUNS ?? 10) },
    );
  }, 120_000);

  test("one that is aborted leaves neither mounts nor an ingest", async () => {
    await using packing = new Packing();
    const directory = packing.bench.directory();
    writeFileSync(join(directory, "large"), "");
    truncateSync(join(directory, "large"), 20_000_000_000);
    const abort = new AbortController();
    const ctx = contextFor("test", { signal: abort.signal });
    const made = packing.comparer.compare(ctx, [], bind(directory));
    setTimeout(() => abort.abort(), 20);
    await expect(made).rejects.toMatchObject({ code: "canceled" });
    expect(await packing.fixture.store.listStatuses(packing.context)).toEqual([]);
    expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(packing.bench.path);
  });

  test("goes on where another began with the same reference, from the start", async () => {
    await using packing = new Packing();
    const directory = packing.bench.directory();
    writeFileSync(join(directory, "file"), "1");
    const wanted = await packing.layer([], bind(directory));
    await using begun = await packing.fixture.store.writer(packing.context, "mine");
    await begun.write(Buffer.from("rubbish"));
    const locked = packing.layer([], bind(directory), { ref: "mine" });
    expect(isCode(await locked.catch((error: unknown) => error), "unavailable")).toBe(true);
    await begun.close();
    expect(await packing.layer([], bind(directory), { ref: "mine" })).toEqual(wanted);
  });
});
