import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mountInfo } from "@hull/sys/mount";
import { type Mount, readOnlyMounts, temporaryMount, withTemporaryMount } from "./index.ts";

const needsRoot = test.skipIf(process.getuid?.() !== 0);

/** A lower, an upper and a work directory, and the overlay of them. */
function layers(): Disposable & { directory: string; overlay: Mount } {
  const directory = mkdtempSync(join(tmpdir(), "hull-layers-"));
  const at = (name: string) => join(directory, name);
  for (const name of ["lower", "upper", "work"]) mkdirSync(at(name));
  writeFileSync(join(at("lower"), "below"), "text");
  const options = [`workdir=${at("work")}`, `upperdir=${at("upper")}`, `lowerdir=${at("lower")}`];
  return {
    directory,
    overlay: { type: "overlay", source: "overlay", target: "", options },
    [Symbol.dispose]: () => rmSync(directory, { recursive: true }),
  };
}

describe("a temporary mount", () => {
  needsRoot("lasts as long as its scope (needs root: mounts)", async () => {
    using made = layers();
    const path = await withTemporaryMount(
      [made.overlay],
      (root) => {
        writeFileSync(join(root, "above"), "");
        expect(readdirSync(root).sort()).toEqual(["above", "below"]);
        return root;
      },
      { directory: made.directory },
    );
    expect(existsSync(path)).toBe(false);
    expect(readdirSync(join(made.directory, "upper"))).toEqual(["above"]);
  });

  needsRoot("is taken down when the work fails (needs root: mounts)", async () => {
    using made = layers();
    let path = "";
    const work = withTemporaryMount([made.overlay], (root) => {
      path = root;
      throw new Error("the work failed");
    });
    await expect(work).rejects.toThrow("the work failed");
    expect(existsSync(path)).toBe(false);
    expect(mountInfo().some(({ target }) => target === path)).toBe(false);
  });

  needsRoot("leaves nothing when the kernel refuses (needs root: mounts)", async () => {
    using made = layers();
    const directory = join(made.directory, "work");
    const bad: Mount = { ...made.overlay, options: ["lowerdir=/nonexistent/lower"] };
    expect(() => temporaryMount([bad], { directory })).toThrow();
    expect(readdirSync(directory)).toEqual([]);
  });

  needsRoot("of read-only mounts shows the same, and can't be written to (needs root: mounts)", async () => {
    using made = layers();
    writeFileSync(join(made.directory, "upper", "above"), "new");
    const bind: Mount = { type: "bind", source: join(made.directory, "lower"), target: "", options: ["rw", "rbind"] };
    await withTemporaryMount(readOnlyMounts([made.overlay]), (root) => {
      expect(readFileSync(join(root, "above"), "utf8")).toBe("new");
      expect(() => writeFileSync(join(root, "x"), "")).toThrow("EROFS");
    });
    await withTemporaryMount(readOnlyMounts([bind]), (root) => {
      expect(() => writeFileSync(join(root, "x"), "")).toThrow("EROFS");
    });
  });
});
