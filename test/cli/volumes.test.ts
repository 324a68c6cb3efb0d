/** Volumes, and images and archives made of containers; what is expected is what docker 20.10 was seen to print beside hull. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Cli, noCli, openCli } from "../support/cli.ts";
import { runProgram } from "../support/process.ts";

const suite = noCli === undefined ? describe : describe.skip;

suite(`volumes and archives${noCli === undefined ? "" : ` (skipped: ${noCli})`}`, () => {
  let hull: Cli;

  beforeAll(async () => {
    hull = openCli();
    await hull.run("load", "-i", join(hull.folder, "busybox.tar"));
    // An image with files at the place of a volume that it declares.
    const files = join(hull.folder, "files");
    mkdirSync(join(files, "etc", "conf"), { recursive: true, mode: 0o750 });
    writeFileSync(join(files, "etc", "conf", "one"), "1\n");
    await runProgram(["chown", "7:8", join(files, "etc", "conf")]);
    const busybox = join(hull.folder, "root.tar");
    await hull.ok("create", "--name", "base", "busybox");
    await hull.ok("export", "-o", busybox, "base");
    await hull.ok("rm", "base");
    await runProgram(["tar", "-C", files, "-rf", busybox, "etc/conf"]);
    await hull.ok("import", "-c", "VOLUME /etc/conf", "-c", "ENV PATH=/bin", busybox, "declares:1");
  });
  afterAll(async () => {
    await hull[Symbol.asyncDispose]();
  });

  const anonymous = async (): Promise<number> =>
    (await hull.ok("volume", "ls", "-q")).split("\n").filter((name) => /^[0-9a-f]{64}$/.test(name)).length;

  test("create, ls, inspect, rm", async () => {
    expect(await hull.ok("volume", "create", "v1")).toBe("v1");
    expect(await hull.ok("volume", "create", "v1")).toBe("v1");
    expect(await hull.ok("volume", "create", "--label", "a=b", "v2")).toBe("v2");
    expect(await hull.ok("volume", "ls")).toBe("DRIVER    VOLUME NAME\nlocal     v1\nlocal     v2");
    expect(await hull.ok("volume", "ls", "-q", "-f", "label=a=b")).toBe("v2");
    const path = join(hull.root, "volumes", "default", "v1", "_data");
    expect(JSON.parse(await hull.ok("volume", "inspect", "v1"))).toEqual([
      {
        CreatedAt: expect.stringMatching(/^\d{4}-.*Z$/),
        Driver: "local",
        Labels: null,
        Mountpoint: path,
        Name: "v1",
        Options: null,
        Scope: "local",
      },
    ]);
    expect(statSync(path).mode & 0o7777).toBe(0o755);
    expect(await hull.run("volume", "create", "a/b")).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('"a/b" includes invalid characters for a local volume name'),
    });
    expect(await hull.run("volume", "inspect", "none")).toMatchObject({
      status: 1,
      stdout: "[]\n",
      stderr: "hull: get none: no such volume\n",
    });
    expect(await hull.ok("volume", "rm", "v1", "v2")).toBe("v1\nv2");
    expect(existsSync(path)).toBe(false);
  });

  test("a volume begins with what the image has at its place, and keeps what is written", async () => {
    const look = "ls /etc/conf; stat -c %a-%u:%g /etc/conf; echo 2 > /etc/conf/two";
    expect(await hull.ok("run", "--rm", "-v", "kept:/etc/conf", "declares:1", "sh", "-c", look)).toBe("one\n750-7:8");
    expect(await hull.ok("run", "--rm", "-v", "kept:/x:ro", "declares:1", "ls", "/x")).toBe("one\ntwo");
    const readOnly = await hull.run("run", "--rm", "-v", "kept:/x:ro", "declares:1", "touch", "/x/y");
    expect(readOnly).toMatchObject({ status: 1, stderr: expect.stringContaining("Read-only file system") });
    expect(await hull.ok("run", "--rm", "-v", "empty:/etc/conf:nocopy", "declares:1", "ls", "/etc/conf")).toBe("");
    const mounts = ["--mount", "type=volume,source=kept,target=/m,readonly", "--mount", "type=tmpfs,target=/t"];
    expect(await hull.ok("run", "--rm", ...mounts, "declares:1", "sh", "-c", "ls /m; touch /t/x && ls /t")).toBe(
      "one\ntwo\nx",
    );
    expect(await hull.ok("volume", "rm", "kept", "empty")).toBe("kept\nempty");
  });

  test("one in use stays; one without a name goes with its container", async () => {
    expect(await anonymous()).toBe(0);
    const id = await hull.ok("create", "--name", "user", "-v", "used:/u", "declares:1", "true");
    expect(await anonymous()).toBe(1);
    expect(await hull.run("volume", "rm", "used")).toMatchObject({
      status: 1,
      stderr: `hull: remove used: volume is in use - [${id}]\n`,
    });
    expect(await hull.ok("inspect", "-f", "{{range .Mounts}}{{.Type}} {{.Destination}} {{end}}", "user")).toBe(
      "volume /u volume /etc/conf ",
    );
    expect(await hull.ok("volume", "ls", "-q", "-f", "dangling=true")).toBe("");
    await hull.ok("rm", "-v", "user");
    expect(await anonymous()).toBe(0);
    // Once by the command, once by the daemon.
    expect(await hull.ok("run", "--rm", "declares:1", "cat", "/etc/conf/one")).toBe("1");
    await hull.ok("run", "-d", "--rm", "--name", "brief", "declares:1", "true");
    for (let tries = 0; (await anonymous()) > 0 && tries < 1000; tries++) await Bun.sleep(50);
    expect(await anonymous()).toBe(0);
    expect(await hull.ok("volume", "prune", "-f")).toBe("Total reclaimed space: 0B");
    expect(await hull.ok("volume", "prune", "-a", "-f")).toBe("Deleted Volumes:\nused\n\nTotal reclaimed space: 0B");
    // Nothing half made is left.
    expect(readdirSync(join(hull.root, "volumes", "default"))).toEqual([]);
  });

  test("what can't be mounted is said, and makes nothing", async () => {
    const refused = async (...flags: string[]): Promise<string> =>
      (await hull.run("run", "--rm", ...flags, "busybox", "true")).stderr;
    expect(await refused("--mount", "type=bind,src=/no/such,dst=/b")).toBe(
      'hull: invalid mount config for type "bind": bind source path does not exist: /no/such\n',
    );
    expect(await refused("--mount", "type=odd,dst=/b")).toContain("is not one of bind, volume, tmpfs");
    expect(await refused("--mount", "type=volume,dst=/b,volume-opt=a=b")).toContain('"volume-opt" is not supported');
    expect(await refused("-v", "/a", "-v", "/a")).toContain('two mounts have the same place in the container: "/a"');
    expect(await hull.ok("volume", "ls", "-q")).toBe("");
  });

  test("--dns and --add-host write files of the container's own, which go with it", async () => {
    const places = join(hull.root, "containers", "default");
    const flags = ["--add-host", "a.b:1.2.3.4", "--dns", "9.9.9.9", "--dns-search", "x.y", "--dns-option", "ndots:2"];
    const look = ["busybox", "sh", "-c", "tail -n 1 /etc/hosts; cat /etc/resolv.conf"];
    expect(await hull.ok("run", "--rm", ...flags, ...look)).toBe(
      "1.2.3.4\ta.b\nsearch x.y\nnameserver 9.9.9.9\noptions ndots:2",
    );
    expect(readdirSync(places)).toEqual([]);
    const id = await hull.ok("create", "--name", "named", ...flags, "busybox", "true");
    expect(readdirSync(places)).toEqual([id]);
    await hull.ok("rm", "named");
    await hull.ok("run", "-d", "--rm", ...flags, "busybox", "true");
    for (let tries = 0; readdirSync(places).length > 0 && tries < 1000; tries++) await Bun.sleep(50);
    expect(readdirSync(places)).toEqual([]);
    const wrong = async (...given: string[]) => (await hull.run("run", "--rm", ...given, "busybox", "true")).stderr;
    expect(await wrong("--add-host", "nope")).toBe('hull: bad format for add-host: "nope"\n');
    expect(await wrong("--add-host", "n:999.1")).toBe('hull: invalid IP address in add-host: "999.1"\n');
    expect(await wrong("--dns", "xx")).toContain("xx is not an ip address");
  });

  test("info and version by a template", async () => {
    expect(await hull.ok("info", "--format", "{{.Driver}} {{.ContainersRunning}}")).toBe("overlayfs 0");
    const { Client: client, Server: server } = JSON.parse(await hull.ok("version", "--format", "json"));
    expect(await hull.ok("version", "-f", "{{.Server.Version}}")).toBe(server.Version);
    expect(client.Bun).toMatch(/^\d/);
  });

  test("networks are listed and described", async () => {
    expect(await hull.ok("network", "ls", "--format", "{{.Name}} {{.Driver}}")).toContain("host host\nnone null");
    const [bridge] = JSON.parse(await hull.ok("network", "inspect", "bridge"));
    expect(bridge).toMatchObject({ Name: "bridge", Driver: "bridge" });
    expect(await hull.run("network", "inspect", "none-such")).toMatchObject({
      status: 1,
      stdout: "[]\n",
      stderr: expect.stringContaining('no such network: "none-such"'),
    });
  });

  test("an image that another client left packed is unpacked, and none is run for another platform than is asked", async () => {
    await hull.ok("rmi", "busybox");
    const address = join(hull.state, "hull.sock");
    const archive = join(hull.folder, "busybox.tar");
    const packed = [
      ...hull.command.slice(0, -4),
      "ctr",
      "--address",
      address,
      "images",
      "import",
      "--no-unpack",
      archive,
    ];
    expect((await runProgram(packed)).stderr).toBe("");
    expect(await hull.ok("run", "--rm", "--pull", "never", "busybox", "echo", "unpacked")).toBe("unpacked");
    const other = await hull.run("run", "--rm", "--pull", "never", "--platform", "linux/s390x", "busybox", "true");
    expect(other).toMatchObject({ status: 125, stderr: expect.stringContaining('platform "linux/s390x"') });
  });

  /** Attaches to a container; `shown` resolves once it has printed something. */
  function attach(name: string) {
    const child = Bun.spawn([...hull.command, "attach", name], { stdout: "pipe", stderr: "inherit" });
    const shown = Promise.withResolvers<void>();
    const output = (async () => {
      let text = "";
      for await (const chunk of child.stdout) {
        text += Buffer.from(chunk).toString();
        shown.resolve();
      }
      return text;
    })();
    return { child, shown: shown.promise, output };
  }

  test("attach shows what comes, and ends as the container does", async () => {
    // Printed again and again: attach says nothing of having begun.
    const came = "while [ ! -e /go ]; do echo came; sleep 0.1; done";
    const script = `echo before; until [ -e /start ]; do sleep 0.05; done; ${came}; exit 4`;
    await hull.ok("run", "-d", "--name", "behind", "busybox", "sh", "-c", script);
    const attached = attach("behind");
    await hull.ok("exec", "behind", "touch", "/start");
    await attached.shown;
    await hull.ok("exec", "behind", "touch", "/go");
    expect(await attached.child.exited).toBe(4);
    expect(await attached.output).toMatch(/^(came\n)+$/);
    expect(await hull.run("attach", "behind")).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('container "behind" is not running'),
    });
    await hull.ok(
      "run",
      "-d",
      "--name",
      "asked",
      "busybox",
      "sh",
      "-c",
      "trap 'exit 7' INT; while :; do echo here; sleep 0.1; done",
    );
    const asked = attach("asked");
    await asked.shown;
    asked.child.kill("SIGINT");
    expect(await asked.child.exited).toBe(7);
    await hull.ok("rm", "behind", "asked");
    // One that heeds no signal goes on, when its watcher has asked a third time.
    await hull.ok(
      "run",
      "-d",
      "--name",
      "deaf",
      "busybox",
      "sh",
      "-c",
      "trap '' INT; while :; do echo here; sleep 0.1; done",
    );
    const watching = attach("deaf");
    await watching.shown;
    while (watching.child.exitCode === null) {
      watching.child.kill("SIGINT");
      await Bun.sleep(50);
    }
    expect(await watching.child.exited).toBe(130);
    expect(await hull.ok("inspect", "-f", "{{.State.Running}}", "deaf")).toBe("true");
    await hull.ok("rm", "-f", "deaf");
  });

  test("diff, commit, export, import", async () => {
    await hull.ok(
      "run",
      "--name",
      "work",
      "-e",
      "X=y",
      "busybox",
      "sh",
      "-c",
      "mkdir /d; echo f >/d/f; echo n >/etc/n",
    );
    expect((await hull.ok("diff", "work")).split("\n")).toEqual(["A /d", "A /d/f", "C /etc", "A /etc/n"]);
    const changes = ["-c", 'CMD ["cat","/d/f"]', "-c", 'ENV A=b C="d e"', "-c", "LABEL k=v", "-c", "WORKDIR /d"];
    expect(await hull.ok("commit", "-m", "a message", ...changes, "work", "made:1")).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(await hull.ok("run", "--rm", "made:1")).toBe("f");
    const env = (await hull.ok("run", "--rm", "made:1", "env")).split("\n");
    expect(env).toEqual(expect.arrayContaining(["A=b", "C=d e", "X=y"]));
    const format = "{{json .Config.Cmd}} {{json .Config.Labels}} {{json .Config.WorkingDir}}";
    expect(await hull.ok("inspect", "-f", format, "made:1")).toBe('["cat","/d/f"] {"k":"v"} "/d"');
    expect(await hull.ok("history", "made:1")).toContain("a message");
    expect(await hull.run("commit", "-c", "NOPE x", "work")).toMatchObject({ status: 1, stdout: "" });

    const archive = join(hull.folder, "work.tar");
    await hull.ok("export", "-o", archive, "work");
    expect(statSync(archive).mode & 0o777).toBe(0o600);
    expect((await runProgram(["tar", "-tf", archive])).stdout).toContain("\nd/f\n");
    const packed = Bun.gzipSync(readFileSync(archive));
    const imported = await hull.feed(packed, "import", "-c", 'CMD ["/bin/cat","/d/f"]', "-", "imported:1");
    expect(imported).toMatchObject({ status: 0, stderr: "", stdout: expect.stringMatching(/^sha256:[0-9a-f]{64}\n$/) });
    expect(await hull.ok("run", "--rm", "imported:1")).toBe("f");
    expect((await hull.feed("no archive", "import", "-", "broken:1")).status).toBe(1);
    await hull.ok("rm", "work");
  });
});
