import { existsSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BlockfileSnapshotter } from "./blockfile.ts";
import { SnapshotterFixture } from "./fixture.ts";
import { snapshotterSuite } from "./suite.ts";

/** An empty file system, without the directory that its checker wants. */
function makeScratch(path: string): void {
  writeFileSync(path, "");
  truncateSync(path, 16 << 20);
  Bun.spawnSync(["mkfs.ext4", "-q", "-O", "^has_journal", path]);
  Bun.spawnSync(["debugfs", "-w", "-R", "rmdir lost+found", path]);
}

if (existsSync("/dev/loop-control") && Bun.which("mkfs.ext4") !== null) {
  snapshotterSuite(
    "blockfile",
    async () =>
      new SnapshotterFixture((options) => {
        const scratch = join(options.root, "../scratch");
        makeScratch(scratch);
        return new BlockfileSnapshotter({ ...options, scratch });
      }),
    { asFile: true },
  );
}
