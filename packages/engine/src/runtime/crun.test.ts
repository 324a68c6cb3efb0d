/** The tests of the runtime once more, with crun. */

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { noCrun, whereCrunWorks } from "../../../../test/support/crun.ts";
import { missing, runtimeVariable } from "./fixture.ts";

const reason = missing ?? noCrun;

describe.skipIf(reason !== undefined)(`with crun${reason === undefined ? "" : ` (${reason})`}`, () => {
  for (const file of ["task-manager.test.ts", "restart.test.ts"]) {
    test(file, async () => {
      const child = Bun.spawn(
        [...whereCrunWorks, process.execPath, "test", join(import.meta.dir, file), "--timeout", "120000"],
        {
          env: { ...process.env, [runtimeVariable]: "crun" },
          stdio: ["ignore", "ignore", "pipe"],
        },
      );
      const report = await new Response(child.stderr).text();
      expect(`${report}status ${await child.exited}`).toEndWith("status 0");
    }, 300_000);
  }
});
