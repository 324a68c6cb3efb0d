/**
 * The tests of the runtime once more, with crun.
 *
 * crun refuses hosts that have version 1 cgroups with version 2's hierarchy mounted beside them. Out of sight it doesn't mind, so there the
 * tests run in a mount namespace of their own which lacks that mount; nothing changes outside of it. A file system of its own is put there
 * instead, since crun writes to that place all the same.
 */

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { cgroupMode } from "@hull/sys/cgroup";
import { missing, runtimeVariable } from "./fixture.ts";

const reason = missing ?? (Bun.which("crun") === null ? "needs crun" : undefined);

const unified = "/sys/fs/cgroup/unified";

/** What a command is put behind to run where crun works. */
const where =
  cgroupMode() === "hybrid"
    ? [
        ...["unshare", "--mount", "--propagation", "slave", "sh", "-c"],
        ...[`umount -l ${unified} && mount -t tmpfs none ${unified} && exec "$@"`, "sh"],
      ]
    : [];

describe.skipIf(reason !== undefined)(`with crun${reason === undefined ? "" : ` (${reason})`}`, () => {
  for (const file of ["task-manager.test.ts", "restart.test.ts"]) {
    test(file, async () => {
      const child = Bun.spawn([...where, process.execPath, "test", join(import.meta.dir, file)], {
        env: { ...process.env, [runtimeVariable]: "crun" },
        stdio: ["ignore", "ignore", "pipe"],
      });
      const report = await new Response(child.stderr).text();
      expect(`${report}status ${await child.exited}`).toEndWith("status 0");
    }, 180_000);
  }
});
