/** `hull config`: what it writes is read by itself and by the real containerd. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { noContainerd } from "../support/containerd.ts";
import { hullCommand } from "../support/hull.ts";
import { type Outcome, runProgram } from "../support/process.ts";
import { type Scratch, scratch } from "../support/scratch.ts";

const old = `version = 2
root = "/r"
oom_score = -5
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  gid = 5
[plugins."io.containerd.internal.v1.restart"]
  interval = "20s"
[plugins."io.containerd.gc.v1.scheduler"]
  pause_threshold = 0.1
[timeouts]
  "io.containerd.timeout.shim.load" = "9s"
`;

describe("hull config", () => {
  let folder: Scratch;
  beforeAll(() => {
    folder = scratch();
  });
  afterAll(() => folder[Symbol.dispose]());
  const hull = (...args: string[]): Promise<Outcome> => runProgram([...hullCommand, "config", ...args]);
  const file = (name: string, text: string): string => {
    writeFileSync(folder.join(name), text);
    return folder.join(name);
  };

  test("default, dumped, stays the same but for its comments", async () => {
    const { stdout } = await hull("default");
    const dumped = await hull("-c", file("default.toml", stdout), "dump");
    expect(dumped).toMatchObject({ status: 0, stderr: "" });
    expect(dumped.stdout).toBe(stdout.replace(/^# .*\n/gm, ""));
  });

  test("migrate gives an old file in the newest form, which migrates to itself", async () => {
    const { stdout, stderr } = await hull("-c", file("old.toml", old), "migrate");
    expect(stderr).toBe("");
    expect(stdout).toContain("version = 3\n");
    expect(stdout).toContain('[plugins."io.containerd.monitor.container.v1.restart"]\ninterval = "20s"\n');
    expect((await hull("-c", file("new.toml", stdout), "migrate")).stdout).toBe(stdout);
  });

  test("another action is refused", async () => {
    const { status, stderr } = await hull("dmup");
    expect([status, stderr]).toEqual([1, 'hull: "config" takes "default", "dump" or "migrate"\n']);
  });

  test.skipIf(noContainerd !== undefined)(
    `the real containerd reads what is written, in the version that it knows${noContainerd === undefined ? "" : ` (skipped: ${noContainerd})`}`,
    async () => {
      const { stdout } = await hull("-c", file("old.toml", old), "migrate");
      // Debian's containerd knows no version 3; nothing in the file but the plugins' names tells the two apart.
      const written = file("written.toml", stdout.replace("version = 3", "version = 2"));
      const dumped = await runProgram(["/usr/bin/containerd", "-c", written, "config", "dump"]);
      expect(dumped.status).toBe(0);
      for (const line of [
        'root = "/r"',
        "oom_score = -5",
        "pause_threshold = 0.1",
        '"io.containerd.timeout.shim.load" = "9s"',
        "  gid = 5",
      ]) {
        expect(dumped.stdout).toContain(line);
      }
    },
  );
});
