/** cp, top, stats, events, restart, rename, prune, and lists by template. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { type Cli, noCli, openCli } from "../support/cli.ts";
import { runProgram } from "../support/process.ts";

setDefaultTimeout(120_000);
const suite = noCli === undefined ? describe : describe.skip;

suite(`docker's other commands${noCli === undefined ? "" : ` (skipped: ${noCli})`}`, () => {
  let cli: Cli;
  beforeAll(async () => {
    cli = openCli();
    await cli.run("load", "-i", `${cli.folder}/busybox.tar`);
    await cli.ok("run", "-d", "--name", "web", "--label", "app=web", "-m", "64m", "busybox", "sleep", "1000");
    await cli.ok("run", "--name", "done", "busybox", "true");
  });
  afterAll(() => cli[Symbol.asyncDispose]());

  test("lists by template and as JSON", async () => {
    expect(await cli.ok("ps", "--format", "{{.Names}} {{.State}} {{.Labels}}")).toBe("web running app=web");
    const [first = "{}"] = (await cli.ok("ps", "-a", "--format", "json")).split("\n");
    expect(JSON.parse(first)).toMatchObject({ Names: "done", State: "exited", Image: "busybox" });
    expect(await cli.ok("ps", "-a", "--format", "table {{.Names}}\\t{{.Image}}")).toMatch(
      /^NAMES +IMAGE\ndone +busybox\nweb +busybox$/,
    );
    expect(await cli.ok("ps", "-n", "1", "--format", "{{.Names}}")).toBe("done");
    expect(await cli.ok("ps", "--filter", "exited=0", "--format", "{{.Names}}")).toBe("done");
    expect(await cli.ok("images", "--format", "{{.Repository}}:{{.Tag}}")).toBe("busybox:latest");
    expect(await cli.ok("inspect", "-f", "{{.State.Status}} {{.HostConfig.Memory}}", "web")).toBe("running 67108864");
    expect((await cli.run("inspect", "-f", "{{.Nothing}}", "web")).stderr).toContain('there is no field "Nothing"');
  });

  test("top and stats", async () => {
    expect(await cli.ok("top", "web", "-o", "pid,args")).toMatch(/^PID +COMMAND\n\d+ +sleep 1000$/);
    const stats = await cli.ok("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}} {{.PIDs}}");
    expect(stats).toMatch(/^web [\d.]+(B|KiB|MiB) \/ 64MiB 1$/);
    expect((await cli.run("top", "done")).stderr).toContain('container "done" is not running');
  });

  test("cp: files, directories and archives, both ways; links don't lead out", async () => {
    const here = `${cli.folder}/here`;
    mkdirSync(`${here}/tree/sub`, { recursive: true });
    writeFileSync(`${here}/tree/sub/file`, "inside");
    writeFileSync(`${here}/one`, "one");
    await cli.ok("cp", `${here}/one`, "web:/");
    await cli.ok("cp", `${here}/one`, "web:/root/two");
    expect(await cli.ok("exec", "web", "cat", "/one", "/root/two")).toBe("oneone");
    await cli.ok("cp", `${here}/tree`, "web:/tree");
    await cli.ok("cp", `${here}/tree`, "web:/tree");
    expect(await cli.ok("exec", "web", "sh", "-c", "cd /tree; find . -type f | sort")).toBe(
      "./sub/file\n./tree/sub/file",
    );
    await cli.ok("cp", "web:/tree/sub/.", `${here}/out`);
    expect(readdirSync(`${here}/out`)).toEqual(["file"]);
    await cli.ok("cp", "web:/tree/sub/file", `${here}/out/again`);
    expect(readFileSync(`${here}/out/again`, "utf8")).toBe("inside");
    // Of one that doesn't run, and as an archive.
    const piped = [...cli.command, "cp", "done:/etc", "-"].map((word) => `'${word}'`).join(" ");
    expect((await runProgram(["sh", "-c", `${piped} | tar t`])).stdout).toContain("./passwd");
    await cli.ok("exec", "web", "ln", "-s", `${here}/one`, "/trap");
    expect((await cli.run("cp", `${here}/tree/sub/file`, "web:/trap")).stderr).toContain(
      "is a link that leads nowhere",
    );
    expect((await cli.run("cp", "web:/trap", `${here}/stolen`)).stderr).toContain(
      'there is no "/trap" in container "web"',
    );
    expect(readFileSync(`${here}/one`, "utf8")).toBe("one");
    expect((await cli.run("cp", "web:/none", here)).stderr).toBe('hull: there is no "/none" in container "web"\n');
    expect((await cli.run("cp", "a", "b")).stderr).toContain("must be CONTAINER:PATH");
  });

  test("rename, restart, events", async () => {
    expect((await cli.run("rename", "web", "done")).stderr).toContain('the name "done" is in use');
    await cli.ok("rename", "web", "site");
    const pid = await cli.ok("inspect", "-f", "{{.State.Pid}}", "site");
    const watching = Bun.spawn([...cli.command, "events", "--filter", "type=container", "--format", "{{.Action}}"], {
      stdout: "pipe",
      stderr: "ignore",
    });
    const seen: string[] = [];
    const reading = (async () => {
      for await (const chunk of watching.stdout) {
        seen.push(...new TextDecoder().decode(chunk).trim().split("\n"));
        if (seen.includes("start")) return;
      }
    })();
    // What is told before it listens is lost: an exec of no weight, until one has been seen.
    while (seen.length === 0) await cli.ok("exec", "site", "true");
    await cli.ok("restart", "-t", "0", "site");
    await reading;
    watching.kill("SIGINT");
    await watching.exited;
    expect(seen).toContain("die");
    expect(seen.indexOf("start")).toBeGreaterThan(seen.indexOf("die"));
    expect(await cli.ok("inspect", "-f", "{{.State.Pid}}", "site")).not.toBe(pid);
    await cli.ok("rename", "site", "web");
  });

  test("prune asks, or is told", async () => {
    const { status, stderr } = await cli.run("system", "prune");
    expect({ status, stderr }).toMatchObject({ status: 1, stderr: expect.stringContaining("say --force") });
    expect(await cli.ok("container", "prune", "-f")).toMatch(/^Deleted Containers:\n[0-9a-f]{64}\n$/);
    expect(await cli.ok("container", "ls", "-a", "--format", "{{.Names}}")).toBe("web");
    expect(await cli.ok("image", "prune", "-af")).toBe("");
    expect(await cli.ok("image", "ls", "-q")).not.toBe("");
  });
});
