import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mountAll, unmountAll } from "@hull/sys/mount";
import { BtrfsSnapshotter } from "./btrfs.ts";
import { SnapshotterFixture } from "./fixture.ts";
import { snapshotterSuite } from "./suite.ts";
import { deviceOf } from "./supports.ts";

/** A btrfs of its own, in a file. */
class BtrfsFixture implements AsyncDisposable {
  readonly #place = mkdtempSync(join(tmpdir(), "hull-btrfs-"));
  readonly #fixture: SnapshotterFixture<BtrfsSnapshotter>;

  constructor() {
    const [image, root] = [join(this.#place, "image"), join(this.#place, "root")];
    writeFileSync(image, "");
    truncateSync(image, 128 << 20);
    Bun.spawnSync(["mkfs.btrfs", "-q", image]);
    mkdirSync(root);
    mountAll([{ type: "btrfs", source: image, options: ["loop"] }], root);
    const device = deviceOf(root) ?? "";
    this.#fixture = new SnapshotterFixture((options) => new BtrfsSnapshotter({ ...options, root, device }));
  }

  get snapshotter(): BtrfsSnapshotter {
    return this.#fixture.snapshotter;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#fixture[Symbol.asyncDispose]();
    unmountAll(join(this.#place, "root"));
    rmSync(this.#place, { recursive: true });
  }
}

if (Bun.which("mkfs.btrfs") !== null) snapshotterSuite("btrfs", async () => new BtrfsFixture());
