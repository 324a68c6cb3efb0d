/** gVisor's runsc as the OCI runtime of hull's own shim. Debian has no shim of gVisor's. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Cli, noCli, openCli } from "../support/cli.ts";

const runsc = "/usr/bin/runsc";
const missing = noCli ?? (existsSync(runsc) ? undefined : "needs Debian's runsc");
const suite = missing === undefined ? describe : describe.skip;

suite(`containers in gVisor${missing === undefined ? "" : ` (skipped: ${missing})`}`, () => {
  let hull: Cli;
  let runtime: string;

  beforeAll(async () => {
    hull = openCli();
    await hull.run("load", "-i", join(hull.folder, "busybox.tar"));
    runtime = join(hull.folder, "runsc-alone");
    // Without a network of the sandbox's own: runsc takes newer kernels' namespaces for the host's.
    writeFileSync(runtime, `#!/bin/sh\nexec ${runsc} --network=none --platform=ptrace "$@"\n`);
    chmodSync(runtime, 0o755);
  });
  afterAll(() => hull[Symbol.asyncDispose]());

  test("run, exec, stop, rm", async () => {
    const run = await hull.run(
      "run",
      "--rm",
      "--runtime",
      runtime,
      "busybox",
      "sh",
      "-c",
      "dmesg; echo err >&2; exit 3",
    );
    expect(run.stdout).toContain("Starting gVisor");
    expect([run.status, run.stderr]).toEqual([3, "err\n"]);
    await hull.ok("run", "-d", "--name", "g1", "--runtime", runtime, "busybox", "sleep", "600");
    expect((await hull.run("exec", "g1", "sh", "-c", "exit 4")).status).toBe(4);
    expect(await hull.ok("stop", "-t", "0", "g1")).toBe("g1");
    expect(await hull.ok("rm", "g1")).toBe("g1");
  });
});
