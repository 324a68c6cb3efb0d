/** The daemon that a command starts by itself. */
import { describe, expect, test } from "bun:test";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { noCli, openCli } from "../support/cli.ts";
import { hullCommand } from "../support/hull.ts";
import { runProgram } from "../support/process.ts";

const suite = noCli === undefined ? describe : describe.skip;

suite(`a daemon by itself${noCli === undefined ? "" : ` (skipped: ${noCli})`}`, () => {
  const stop = (root: string) => runProgram([...hullCommand, "daemon", "stop", "--root", root]);

  test("is started once, outlives its command, and is stopped by its root", async () => {
    await using hull = openCli();
    const first = await hull.run("images");
    const pid = Number(/started the daemon \(pid (\d+), log (\S+)\)/.exec(first.stderr)?.[1]);
    expect(first.status).toBe(0);
    expect(first.stderr).toContain(`"hull daemon stop --root ${hull.root}" ends it`);
    expect(existsSync(join(hull.state, "daemon.log"))).toBe(true);
    expect(statSync(join(hull.state, "hull.sock")).mode & 0o777).toBe(0o660);
    expect((await hull.run("images")).stderr).toBe("");
    expect(process.kill(pid, 0)).toBe(true);
    expect((await stop(hull.root)).stdout).toContain(`stopped the daemon (pid ${pid})`);
    expect(existsSync(join(hull.state, "hull.sock"))).toBe(false);
    const again = await stop(hull.root);
    expect([again.status, again.stderr]).toEqual([1, expect.stringContaining(`no daemon works on "${hull.root}"`)]);
  });

  test("is one, however many commands want it at the same time", async () => {
    await using hull = openCli();
    const outcomes = await Promise.all(Array.from({ length: 4 }, () => hull.run("images", "-q")));
    expect(outcomes.map(({ status }) => status)).toEqual([0, 0, 0, 0]);
    expect(outcomes.filter(({ stderr }) => stderr.includes("started the daemon")).length).toBe(1);
  });

  test("finds its containers again after a stop", async () => {
    await using hull = openCli();
    await hull.run("load", "-i", join(hull.folder, "busybox.tar"));
    await hull.ok("run", "-d", "--name", "goes-on", "busybox", "sleep", "600");
    await stop(hull.root);
    expect((await hull.run("ps")).stdout).toMatch(/Up .* goes-on/);
    expect(await hull.ok("exec", "goes-on", "echo", "alive")).toBe("alive");
  });

  test("isn't started at another's address, and its failure is told", async () => {
    await using hull = openCli();
    const elsewhere = await runProgram([...hullCommand, "--address", join(hull.folder, "none.sock"), "ps"]);
    expect([elsewhere.status, elsewhere.stderr]).toEqual([1, expect.stringContaining("no daemon answers at")]);
    const bad = await runProgram([...hullCommand, "--root", "/proc/none", "--state", hull.state, "ps"]);
    expect([bad.status, bad.stderr]).toEqual([1, expect.stringContaining("the daemon can't be started")]);
  });
});
