/** Health checks: `hull run --health-…`, the image's HEALTHCHECK, and what tells of them. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { type Cli, noCli, openCli } from "../support/cli.ts";
import { hullCommand } from "../support/hull.ts";
import { runProgram } from "../support/process.ts";

setDefaultTimeout(120_000);
const suite = noCli === undefined ? describe : describe.skip;

interface Health {
  readonly Status: string;
  readonly FailingStreak: number;
  readonly Log: readonly { readonly ExitCode: number; readonly Output: string; readonly Start: string }[];
}

suite(`health checks${noCli === undefined ? "" : ` (skipped: ${noCli})`}`, () => {
  let hull: Cli;
  beforeAll(async () => {
    hull = openCli();
    await hull.run("load", "-i", join(hull.folder, "busybox.tar"));
  });
  afterAll(() => hull[Symbol.asyncDispose]());

  const often = ["--health-interval", "100ms", "--health-retries", "2"];
  const start = (name: string, ...flags: string[]): Promise<string> =>
    hull.ok("run", "-d", "--name", name, ...flags, "busybox", "sleep", "1000");
  const healthOf = async (name: string): Promise<Health> =>
    JSON.parse(await hull.ok("inspect", "-f", "{{json .State.Health}}", name));
  const until = async (name: string, holds: (health: Health) => boolean): Promise<Health> => {
    for (let tries = 0; ; tries++) {
      const health = await healthOf(name);
      if (holds(health)) return health;
      if (tries === 200) throw new Error(`the health of ${name} stays ${JSON.stringify(health)}`);
    }
  };
  const status = (name: string): Promise<string> =>
    hull.ok("ps", "-a", "--filter", `name=${name}`, "--format", "{{.Status}}");
  const named = (health: string): Promise<string> =>
    hull.ok("ps", "-a", "--filter", `health=${health}`, "--format", "{{.Names}}");

  test("a check that fails makes it unhealthy, one that succeeds healthy again", async () => {
    await start("web", ...often, "--health-cmd", "cat /ok");
    const sick = await until("web", ({ Status }) => Status === "unhealthy");
    expect(sick.FailingStreak).toBeGreaterThanOrEqual(2);
    expect(sick.Log.at(-1)).toMatchObject({ ExitCode: 1, Output: expect.stringMatching(/\/ok.*No such file/) });
    expect(await status("web")).toMatch(/^Up .*\(unhealthy\)$/);
    expect(await named("unhealthy")).toBe("web");

    await hull.ok("exec", "web", "sh", "-c", "echo fine >/ok");
    const well = await until("web", ({ Status }) => Status === "healthy");
    expect(well).toMatchObject({ FailingStreak: 0 });
    expect(well.Log.length).toBeLessThanOrEqual(5);
    expect(well.Log.at(-1)).toMatchObject({ ExitCode: 0, Output: "fine\n" });
    expect(await status("web")).toMatch(/^Up .*\(healthy\)$/);
    expect([await named("healthy"), await named("unhealthy")]).toEqual(["web", ""]);
    expect(JSON.parse(await hull.ok("inspect", "-f", "{{json .Config.Healthcheck}}", "web"))).toEqual({
      Test: ["CMD-SHELL", "cat /ok"],
      Interval: 100_000_000,
      Retries: 2,
    });

    // Another daemon goes on; the container's next start begins anew.
    const before = well.Log.at(-1)?.Start ?? "";
    await runProgram([...hullCommand, "daemon", "stop", "--root", hull.root]);
    await hull.run("ps");
    const later = await until("web", ({ Log }) => (Log.at(-1)?.Start ?? "") > before);
    expect(later.Status).toBe("healthy");
    await hull.ok("stop", "-t", "0", "web");
    expect(await status("web")).toMatch(/^Exited \(137\) [^()]*$/);
    await hull.ok("start", "web");
    expect((await until("web", ({ Log }) => Log.length > 0)).Status).toBe("healthy");
    await hull.ok("rm", "-f", "web");
  });

  test("one that takes too long, and those while it starts", async () => {
    await start("slow", ...often, "--health-cmd", "echo begun; sleep 1000", "--health-timeout", "200ms");
    const slow = await until("slow", ({ Log }) => Log.length > 0);
    expect(slow.Log[0]).toMatchObject({ ExitCode: -1, Output: "Health check exceeded timeout (200ms)" });
    await hull.ok("rm", "-f", "slow");

    const early = ["--health-start-period", "1h", "--health-start-interval", "50ms"];
    await start("early", ...often, ...early, "--health-cmd", "exit 3");
    const failed = await until("early", ({ Log }) => Log.length > 3);
    expect([failed.Status, failed.FailingStreak, failed.Log[0]?.ExitCode]).toEqual(["starting", 0, 3]);
    expect(await named("starting")).toBe("early");
    expect(await status("early")).toEndWith("(health: starting)");
    await hull.ok("rm", "-f", "early");
  });

  test("of the image, changed or left out by flags", async () => {
    await hull.ok("create", "--name", "base", "busybox");
    const change = 'HEALTHCHECK --interval=100ms --retries=7 CMD ["cat", "/etc/passwd"]';
    await hull.ok("commit", "--change", change, "base", "checked");
    expect(JSON.parse(await hull.ok("inspect", "-f", "{{json .Config.Healthcheck}}", "checked"))).toEqual({
      Interval: 100_000_000,
      Retries: 7,
      Test: ["CMD", "cat", "/etc/passwd"],
    });
    await hull.ok("commit", "--change", 'HEALTHCHECK --interval=100ms CMD ["/none"]', "base", "broken");
    await hull.ok("run", "-d", "--name", "ill", "broken", "sleep", "1000");
    expect((await until("ill", ({ Status }) => Status === "unhealthy")).Log[0]).toMatchObject({
      ExitCode: -1,
      Output: expect.stringContaining("/none"),
    });
    await hull.ok("run", "-d", "--name", "own", "checked", "sleep", "1000");
    expect((await until("own", ({ Status }) => Status === "healthy")).Log[0]?.Output).toContain("root:");
    await hull.ok("create", "--name", "other", "--health-timeout", "3s", "checked");
    expect(JSON.parse(await hull.ok("inspect", "-f", "{{json .Config.Healthcheck}}", "other"))).toMatchObject({
      Timeout: 3_000_000_000,
      Retries: 7,
    });
    await hull.ok("create", "--name", "without", "--no-healthcheck", "checked");
    expect((await named("none")).split("\n").sort()).toEqual(["base", "without"]);
    await hull.ok("rm", "-f", "ill", "own", "other", "without", "base");

    const refused = async (...flags: string[]): Promise<string> =>
      (await hull.run("create", ...flags, "busybox")).stderr;
    expect(await refused("--no-healthcheck", "--health-cmd", "true")).toContain("conflicts with --health-* options");
    expect(await refused("--health-interval", "1s")).toContain("there is no health check to have these times");
    expect(await refused("--health-cmd", "true", "--health-timeout", "-1s")).toContain("cannot be negative");
    expect(await refused("--health-cmd", "x".repeat(5000))).toContain("too long");
  });
});
