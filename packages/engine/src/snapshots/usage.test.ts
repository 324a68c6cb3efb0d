import { expect, test } from "bun:test";
import { linkSync, lstatSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { diskUsage } from "./usage.ts";

test("every inode of a tree counts once, also in a directory whose names another thread reads", async () => {
  const directory = mkdtempSync(join(tmpdir(), "hull-usage-"));
  try {
    const long = join(directory, "long");
    mkdirSync(join(long, "below"), { recursive: true });
    const names = Array.from({ length: 3000 }, (_, n) => join(long, `${n}${"-".repeat(60)}`));
    for (const name of names) writeFileSync(name, "");
    const file = join(long, "below", "file");
    writeFileSync(file, Buffer.alloc(10_000, 1));
    linkSync(file, join(directory, "again"));
    const usage = await diskUsage(directory);
    const size = [directory, long, join(long, "below"), file].reduce(
      (sum, path) => sum + lstatSync(path).blocks * 512,
      0,
    );
    expect(usage).toEqual({ size, inodes: names.length + 4 });
    expect(await diskUsage(join(directory, "none"))).toEqual({ size: 0, inodes: 0 });
  } finally {
    rmSync(directory, { recursive: true });
  }
});
