/** `hull run --init` and `--volumes-from`. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Cli, noCli, openCli } from "../support/cli.ts";

setDefaultTimeout(120_000);
const suite = noCli === undefined ? describe : describe.skip;
const hasInit = ["/usr/bin/tini-static", "/usr/bin/catatonit"].some((path) => existsSync(path));

suite(`hull run${noCli === undefined ? "" : ` (skipped: ${noCli})`}`, () => {
  let hull: Cli;
  beforeAll(async () => {
    hull = openCli();
    await hull.run("load", "-i", join(hull.folder, "busybox.tar"));
  });
  afterAll(() => hull[Symbol.asyncDispose]());

  const volumes = async (): Promise<string[]> =>
    (await hull.ok("volume", "ls", "-q")).split("\n").filter((name) => name !== "");

  test.skipIf(!hasInit)(
    "--init (needs tini or catatonit): the command is its child, and goes by its own name",
    async () => {
      const shown = await hull.ok("run", "--rm", "--init", "busybox", "sh", "-c", "cat /proc/1/cmdline; test $$ -gt 1");
      expect(shown.split("\0").slice(0, 3)).toEqual(["/sbin/docker-init", "--", "sh"]);
      const trap = "trap 'exit 7' TERM; echo ready; while :; do sleep 1; done";
      await hull.ok("run", "-d", "--name", "child", "--init", "busybox", "sh", "-c", trap);
      // It passes the signal on, and takes its child's exit status.
      for (let tries = 0; (await hull.ok("logs", "child")) === "" && tries < 100; tries++) await Bun.sleep(50);
      await hull.ok("kill", "-s", "TERM", "child");
      expect(await hull.ok("wait", "child")).toBe("7");
      expect(await hull.ok("inspect", "-f", "{{.HostConfig.Init}} {{.Path}} {{len .Mounts}}", "child")).toBe(
        "true sh 0",
      );
      expect(await hull.ok("ps", "-a", "--no-trunc", "--format", "{{.Command}}", "--filter", "name=child")).toBe(
        JSON.stringify(`sh -c ${trap}`),
      );
      await hull.ok("rm", "child");
      expect((await hull.run("run", "--rm", "--init", "--pid", "host", "busybox", "true")).stderr).toContain(
        "conflicting options: with --pid host",
      );
    },
  );

  test("--volumes-from: volumes and binds of another container, its own before them", async () => {
    const host = join(hull.folder, "shared");
    await hull.ok("create", "--name", "first", "-v", "/data", "-v", `${host}:/host`, "-v", "kept:/kept:ro", "busybox");
    await hull.ok("run", "--rm", "--volumes-from", "first", "busybox", "sh", "-c", "echo 1 >/data/a; echo 2 >/host/b");
    expect((await volumes()).length).toBe(2);
    const read = ["sh", "-c", "cat /data/a /host/b; ls /kept; touch /data/x"];
    const readOnly = await hull.run("run", "--rm", "--volumes-from", "first:ro", "busybox", ...read);
    expect(readOnly).toMatchObject({ stdout: "1\n2\n", stderr: "touch: /data/x: Read-only file system\n" });
    expect((await hull.run("run", "--rm", "--volumes-from", "first", "busybox", "touch", "/kept/x")).stderr).toContain(
      "Read-only",
    );
    expect(await hull.ok("run", "--rm", "--volumes-from", "first", "-v", "/data", "busybox", "ls", "/data")).toBe("");
    const mounts = "{{range .Mounts}}{{.Type}} {{.Destination}}\n{{end}}";
    await hull.ok("create", "--name", "second", "--volumes-from", "first", "busybox");
    expect((await hull.ok("inspect", "-f", mounts, "second")).trim().split("\n").sort()).toEqual([
      "bind /host",
      "volume /data",
      "volume /kept",
    ]);

    // What two have goes with the last of them.
    await hull.ok("rm", "-v", "first");
    expect((await volumes()).length).toBe(2);
    await hull.ok("rm", "-v", "second");
    expect(await volumes()).toEqual(["kept"]);
    await hull.ok("volume", "rm", "kept");
    await hull.ok("run", "-d", "--rm", "--name", "going", "-v", "/data", "busybox", "sleep", "1000");
    await hull.ok("create", "--name", "staying", "--volumes-from", "going", "busybox");
    await hull.ok("kill", "going");
    for (let tries = 0; (await hull.ok("ps", "-aq")).split("\n").length > 1 && tries < 100; tries++)
      await Bun.sleep(50);
    expect((await volumes()).length).toBe(1);
    await hull.ok("rm", "-v", "staying");
    expect(await volumes()).toEqual([]);

    expect((await hull.run("create", "--volumes-from", "nobody", "busybox")).stderr).toContain("no such container");
    expect((await hull.run("create", "--volumes-from", "x:rx", "busybox")).stderr).toContain("invalid mode: rx");
  });
});
