import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TaskDefinition } from "@hull/api/gen/containerd/task/v2/task";
import { ttrpcMetadata } from "@hull/api/metadata";
import { connectTtrpc, ttrpcClient } from "./client.ts";

const shim = Bun.which("containerd-shim-runc-v2");

test.skipIf(shim === null || process.getuid?.() !== 0)(
  "containerd's own shim answers our client (needs containerd-shim-runc-v2 and root)",
  async () => {
    const bundle = mkdtempSync(join(tmpdir(), "hull-shim-"));
    writeFileSync(join(bundle, "config.json"), JSON.stringify({ ociVersion: "1.0.2", root: { path: "rootfs" } }));
    spawnSync("mkfifo", [join(bundle, "log")]);
    // The shim opens its log for writing and dies if nobody reads.
    const log = openSync(join(bundle, "log"), "r+");
    try {
      const address = join(bundle, "containerd.sock");
      const { stdout, status } = spawnSync(
        shim ?? "",
        ["-namespace", "hull-test", "-address", address, "-publish-binary", "/bin/false", "-id", "x", "start"],
        { cwd: bundle, env: { ...process.env, TTRPC_ADDRESS: `${address}.ttrpc` }, encoding: "utf8" },
      );
      expect(status).toBe(0);
      await using connection = await connectTtrpc(stdout.trim());
      const task = ttrpcClient(TaskDefinition, connection, { metadata: ttrpcMetadata("hull-test") });
      const { shimPid, taskPid } = await task.connect({ id: "x" });
      expect(shimPid).toBeGreaterThan(1);
      expect(taskPid).toBe(0);
      await expect(task.state({ id: "x" })).rejects.toMatchObject({
        code: "notFound",
        message: "container not created",
      });
      await task.shutdown({ id: "x", now: true }).catch(() => {});
      await connection.closed;
      await expect(task.connect({ id: "x" })).rejects.toMatchObject({ code: "unavailable" });
    } finally {
      closeSync(log);
      rmSync(bundle, { recursive: true, force: true });
    }
  },
);
