import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const plugins = ["/usr/lib/cni", "/opt/cni/bin"].find((directory) => existsSync(join(directory, "bridge")));
const why = process.getuid?.() !== 0 ? "needs root" : plugins === undefined ? "needs CNI's plugins" : undefined;

test.skipIf(why !== undefined)(
  `bridge and host-local of the host, in a namespace of its own${why === undefined ? "" : ` (${why})`}`,
  () => {
    const folder = mkdtempSync(join(tmpdir(), "hull-cni-"));
    try {
      const fixture = join(import.meta.dir, "debian.fixture.ts");
      const command = ["-n", process.execPath, fixture, plugins ?? "", folder];
      const { stdout, stderr } = spawnSync("unshare", command, { encoding: "utf8" });
      expect(stderr).toBe("");
      const { ips, addressed, gone, left } = JSON.parse(stdout);
      expect(ips).toMatchObject([{ address: "10.77.0.2/24", gateway: "10.77.0.1" }]);
      expect(addressed).toContain("inet 10.77.0.2/24");
      expect([gone, left]).toEqual([true, ""]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
);
