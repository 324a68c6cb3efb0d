/** The docker-like commands, end to end with the built executable, on a daemon that the first of them starts. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mountInfo } from "@hull/sys/mount";
import { busybox, type Cli, noCli, openCli } from "../support/cli.ts";

const suite = noCli === undefined ? describe : describe.skip;

suite(`docker-like commands${noCli === undefined ? "" : ` (skipped: ${noCli})`}`, () => {
  let hull: Cli;

  beforeAll(async () => {
    hull = openCli();
    await hull.run("load", "-i", join(hull.folder, "busybox.tar"));
  });
  afterAll(async () => {
    await hull[Symbol.asyncDispose]();
  });

  /** A container of the test's own that sleeps until it is asked to end; gives its name. */
  async function sleeper(name: string, ...flags: string[]): Promise<string> {
    await hull.ok(
      "run",
      "-d",
      "--name",
      name,
      ...flags,
      "busybox",
      "sh",
      "-c",
      "trap 'exit 3' TERM; while :; do sleep 0.1; done",
    );
    return name;
  }

  const logsHere = (): string[] => {
    const folder = join(hull.root, "logs", "default");
    return existsSync(folder) ? readdirSync(folder) : [];
  };

  describe("images", () => {
    test("load says what it loaded, images lists it", async () => {
      expect(await hull.ok("load", "-i", join(hull.folder, "busybox.tar"))).toBe(`Loaded image: ${busybox}`);
      expect(await hull.ok("images")).toMatch(
        /^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE\nbusybox +latest +[0-9a-f]{12} +.+ ago +[\d.]+[kM]B$/,
      );
      expect(await hull.ok("images", "-q")).toMatch(/^[0-9a-f]{12}$/);
    });

    test("load reads the standard input", async () => {
      const { status, stdout } = await hull.feed(readFileSync(join(hull.folder, "busybox.tar")), "load");
      expect([status, stdout]).toEqual([0, `Loaded image: ${busybox}\n`]);
    });

    test("load refuses what is no archive", async () => {
      writeFileSync(join(hull.folder, "text.tar"), "no archive");
      expect((await hull.run("load", "-i", join(hull.folder, "text.tar"))).status).toBe(1);
      const { status, stderr } = await hull.run("load", "-i", "/none.tar");
      expect([status, stderr]).toEqual([1, expect.stringContaining('archive "/none.tar" can\'t be opened')]);
    });

    test("tag and rmi, by name and by id", async () => {
      expect(await hull.ok("tag", "busybox", "example.com/other:1")).toBe("");
      expect(await hull.ok("images", "example.com/other")).toContain("example.com/other");
      const id = await hull.ok("images", "-q");
      const both = await hull.run("rmi", id);
      expect([both.status, both.stderr]).toEqual([1, expect.stringContaining("has several names")]);
      expect(await hull.ok("rmi", "example.com/other:1")).toBe("Untagged: example.com/other:1");
      const { status, stderr } = await hull.run("rmi", "busibox");
      expect([status, stderr]).toEqual([1, 'hull: no such image: "busibox"; did you mean "busybox"?\n']);
    });

    test("inspect shows an image as docker does", async () => {
      const [image] = JSON.parse(await hull.ok("inspect", "busybox"));
      expect(image).toMatchObject({ RepoTags: [busybox], Os: "linux", Config: { Env: ["PATH=/bin"], Cmd: ["sh"] } });
    });
  });

  describe("run", () => {
    test("gives output and exit status, apart for both outputs", async () => {
      const outcome = await hull.run("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7");
      expect(outcome).toEqual({ status: 7, stdout: "out\n", stderr: "err\n" });
    });

    test("a signal that ended it counts as 128 and its number", async () => {
      expect((await hull.run("run", "--rm", "busybox", "sh", "-c", "sh -c 'kill -9 $$'; exit $?")).status).toBe(137);
    });

    test("loses nothing of a large output, and passes a large input", async () => {
      const big = "0123456789abcdef".repeat(512 * 1024);
      const { status, stdout } = await hull.feed(big, "run", "-i", "--rm", "busybox", "cat");
      expect([status, stdout.length, stdout === big]).toEqual([0, big.length, true]);
    });

    test("without -i there is nothing on its stdin", async () => {
      expect(await hull.feed("unseen", "run", "--rm", "busybox", "cat")).toEqual({ status: 0, stdout: "", stderr: "" });
    });

    test("-e, --env-file, -w, -u, --hostname, --entrypoint, -l", async () => {
      writeFileSync(join(hull.folder, "env"), "# comment\nFROM_FILE=1\n\nBOTH=file\n");
      const script = 'echo "$FROM_FILE $BOTH $A"; pwd; id -u; id -g; hostname';
      const env = ["-e", "A=b c", "-e", "BOTH=flag", "--env-file", join(hull.folder, "env")];
      const flags = [...env, "-w", "/tmp", "-u", "guest:50", "--hostname", "box", "--entrypoint", "sh"];
      const output = await hull.ok("run", "--rm", ...flags, "busybox", "-c", script);
      expect(output).toBe("1 flag b c\n/tmp\n1000\n50\nbox");
    });

    test("-v mounts, read-only where told, and makes a folder that is missing", async () => {
      const folder = join(hull.folder, "shared");
      await hull.ok("run", "--rm", "-v", `${folder}:/mnt`, "busybox", "sh", "-c", "echo hi > /mnt/file");
      expect(readFileSync(join(folder, "file"), "utf8")).toBe("hi\n");
      const refused = await hull.run("run", "--rm", "-v", `${folder}:/mnt:ro`, "busybox", "touch", "/mnt/x");
      expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining("Read-only")]);
    });

    test("--read-only, --tmpfs, --privileged, -m, --cap-drop", async () => {
      expect((await hull.run("run", "--rm", "--read-only", "busybox", "touch", "/x")).status).toBe(1);
      expect(
        await hull.ok("run", "--rm", "--read-only", "--tmpfs", "/x", "busybox", "sh", "-c", "touch /x/y; ls /x"),
      ).toBe("y");
      const limit = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes || cat /sys/fs/cgroup/memory.max";
      const { stdout } = await hull.run("run", "--rm", "-m", "64m", "busybox", "sh", "-c", limit);
      expect(stdout).toBe("67108864\n");
      const effective = (...flags: string[]): Promise<string> =>
        hull.ok("run", "--rm", ...flags, "busybox", "grep", "CapEff", "/proc/self/status");
      expect(await effective("--cap-drop", "ALL")).toBe("CapEff:\t0000000000000000");
      expect(await effective("--cap-drop", "all", "--cap-add", "chown")).toBe("CapEff:\t0000000000000001");
      expect(await effective("--privileged")).not.toBe(await effective());
    });

    test("the network is the container's own unless told", async () => {
      const interfaces = ["busybox", "ls", "/sys/class/net"];
      expect(await hull.ok("run", "--rm", ...interfaces)).toBe("lo");
      const host = readdirSync("/sys/class/net").sort().join("\n");
      expect(await hull.ok("run", "--rm", "--net", "host", ...interfaces)).toBe(host);
    });

    test("a program that isn't there is 127, one that can't run 126, hull's own failures 125", async () => {
      expect((await hull.run("run", "--rm", "busybox", "no-such-program")).status).toBe(127);
      expect((await hull.run("run", "--rm", "busybox", "/etc/passwd")).status).toBe(126);
      const wrong = await hull.run("run", "--rm", "--pull", "never", "example.com/none:1", "true");
      expect([wrong.status, wrong.stderr]).toEqual([
        125,
        expect.stringContaining('no such image: "example.com/none:1"'),
      ]);
      expect((await hull.run("run", "--rm", "-e", "=x", "busybox", "true")).status).toBe(125);
      expect((await hull.run("run", "--no-such-flag", "busybox")).status).toBe(125);
    });

    test("--rm leaves nothing: no record, snapshot, log, mount or FIFO", async () => {
      const before = { snapshots: mountsBelow(hull.state), containers: await hull.ok("ps", "-aq"), logs: logsHere() };
      await hull.ok("run", "--rm", "busybox", "true");
      await hull.run("run", "--rm", "busybox", "no-such-program");
      expect(await hull.ok("ps", "-aq")).toBe(before.containers);
      expect(mountsBelow(hull.state)).toEqual(before.snapshots);
      expect(logsHere()).toEqual(before.logs);
      expect(readdirSync(join(hull.state, "fifo"))).toEqual([]);
    });

    test("-d --rm is removed by the daemon when it ends", async () => {
      const id = await hull.ok("run", "-d", "--rm", "--name", "brief", "busybox", "sh", "-c", "sleep 0.2; echo done");
      await hull.run("wait", "brief");
      for (let tries = 0; tries < 1000 && (await hull.ok("ps", "-aq", "-f", "name=brief")) !== ""; tries++)
        await Bun.sleep(50);
      expect(await hull.ok("ps", "-aq", "-f", "name=brief")).toBe("");
      expect(logsHere()).not.toContain(`${id}.log`);
    });

    test("a name is taken once, also by two at a time", async () => {
      await sleeper("taken");
      const { status, stderr } = await hull.run("run", "--name", "taken", "busybox", "true");
      expect([status, stderr]).toEqual([125, expect.stringContaining('the name "taken" is in use by container')]);
      const two = await Promise.all(
        [1, 2].map(() => hull.run("run", "-d", "--name", "race", "busybox", "sleep", "60")),
      );
      expect(two.map((outcome) => outcome.status).sort()).toEqual([0, 125]);
      await hull.ok("rm", "-f", "taken", "race");
      expect((await hull.run("run", "--name", "a", "busybox", "true")).stderr).toContain("can't be a container's name");
    });
  });

  describe("life", () => {
    test("ps, stop, wait, start, kill, rm", async () => {
      await sleeper("life");
      expect(await hull.ok("ps", "-f", "name=life")).toMatch(
        /^CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES\n[0-9a-f]{12} +busybox +"sh -c trap 'exit 3'…" +.+ ago +Up .+ life$/,
      );
      const running = await hull.run("rm", "life");
      expect([running.status, running.stderr]).toEqual([1, expect.stringContaining("stop it first (hull stop life)")]);
      expect(await hull.ok("stop", "life")).toBe("life");
      expect(await hull.ok("stop", "life")).toBe("life");
      expect(await hull.ok("ps", "-q", "-f", "name=life")).toBe("");
      expect(await hull.ok("ps", "-a", "-f", "name=life")).toMatch(/Exited \(3\) .* ago/);
      expect(await hull.ok("wait", "life")).toBe("3");
      expect(await hull.ok("start", "life")).toBe("life");
      expect(await hull.ok("kill", "-s", "KILL", "life")).toBe("life");
      expect(await hull.ok("wait", "life")).toBe("137");
      const ended = await hull.run("kill", "life");
      expect([ended.status, ended.stderr]).toEqual([1, expect.stringContaining('container "life" is not running')]);
      expect(await hull.ok("rm", "life")).toBe("life");
      expect((await hull.run("rm", "life")).stderr).toBe('hull: no such container: "life"\n');
    });

    test("stop kills what doesn't end in time", async () => {
      await hull.ok(
        "run",
        "-d",
        "--name",
        "stubborn",
        "busybox",
        "sh",
        "-c",
        "trap '' TERM; while :; do sleep 0.1; done",
      );
      const start = performance.now();
      await hull.ok("stop", "-t", "1", "stubborn");
      expect(performance.now() - start).toBeGreaterThan(900);
      expect(await hull.ok("wait", "stubborn")).toBe("137");
      await hull.ok("rm", "stubborn");
    });

    test("--stop-signal is the one that stop sends", async () => {
      const script = "trap 'exit 9' USR1; trap '' TERM; while :; do sleep 0.1; done";
      await hull.ok("run", "-d", "--name", "usr", "--stop-signal", "USR1", "busybox", "sh", "-c", script);
      await hull.ok("stop", "usr");
      expect(await hull.ok("wait", "usr")).toBe("9");
      await hull.ok("rm", "usr");
    });

    test("pause and unpause", async () => {
      await sleeper("frozen");
      await hull.ok("pause", "frozen");
      expect(await hull.ok("ps", "-f", "name=frozen")).toContain("(Paused)");
      await hull.ok("unpause", "frozen");
      expect(await hull.ok("ps", "-f", "name=frozen")).not.toContain("(Paused)");
      await hull.ok("rm", "-f", "frozen");
    });

    test("an id's beginning is enough, an ambiguous one is refused, a near name is offered", async () => {
      await sleeper("lighthouse");
      const id = await hull.ok("ps", "-q", "--no-trunc", "-f", "name=lighthouse");
      expect(await hull.ok("stop", id.slice(0, 8))).toBe(id.slice(0, 8));
      expect((await hull.run("stop", "lighthouze")).stderr).toContain('did you mean "lighthouse"?');
      expect((await hull.run("stop", 'x" || true')).status).toBe(1);
      const made = await Promise.all(Array.from({ length: 17 }, () => hull.ok("create", "busybox", "true")));
      const first = made.map((each) => each[0] ?? "").find((letter, at, all) => all.indexOf(letter) !== at) ?? "";
      const { status, stderr } = await hull.run("inspect", "--type", "container", first);
      expect([status, stderr]).toEqual([
        1,
        expect.stringContaining(`several containers have an id that begins with "${first}"`),
      ]);
      await hull.ok("rm", "lighthouse", ...made);
    });

    test("exec: output, status, environment, user, directory, input", async () => {
      await sleeper("host", "-e", "A=1");
      expect(await hull.run("exec", "host", "sh", "-c", "echo out; echo err >&2; exit 4")).toEqual({
        status: 4,
        stdout: "out\n",
        stderr: "err\n",
      });
      const script = 'echo "$A $B"; pwd; id -un';
      expect(await hull.ok("exec", "-e", "B=2", "-w", "/tmp", "-u", "guest", "host", "sh", "-c", script)).toBe(
        "1 2\n/tmp\nguest",
      );
      expect((await hull.feed("typed\n", "exec", "-i", "host", "cat")).stdout).toBe("typed\n");
      expect((await hull.run("exec", "host", "no-such-program")).status).toBe(127);
      await hull.ok("exec", "-d", "host", "touch", "/tmp/detached");
      for (let tries = 0; tries < 400; tries++) {
        if ((await hull.run("exec", "host", "test", "-e", "/tmp/detached")).status === 0) break;
      }
      await hull.ok("exec", "host", "test", "-e", "/tmp/detached");
      await hull.ok("stop", "host");
      expect((await hull.run("exec", "host", "true")).stderr).toContain(
        "is not running: start it with hull start host",
      );
      await hull.ok("rm", "host");
    });

    test("inspect shows a container as docker does", async () => {
      await sleeper("seen", "-l", "color=blue", "-v", `${hull.folder}:/mnt:ro`, "-m", "64m");
      const [container] = JSON.parse(await hull.ok("inspect", "seen"));
      expect(container).toMatchObject({
        Name: "/seen",
        Path: "sh",
        State: { Status: "running", Running: true, Paused: false, ExitCode: 0 },
        Config: { Image: busybox, Labels: { color: "blue" }, Tty: false },
        HostConfig: { Memory: 67108864, NetworkMode: "none", Binds: [`${hull.folder}:/mnt:ro`] },
        Mounts: [{ Type: "bind", Source: hull.folder, Destination: "/mnt", RW: false }],
      });
      expect(container.State.Pid).toBeGreaterThan(1);
      await hull.ok("rm", "-f", "seen");
      const nothing = await hull.run("inspect", "seem");
      expect([nothing.status, nothing.stdout]).toEqual([1, "[]\n"]);
    });
  });

  describe("logs", () => {
    test("hold both outputs, for their owner alone, and go with the container", async () => {
      const id = await hull.ok(
        "run",
        "-d",
        "--name",
        "talker",
        "busybox",
        "sh",
        "-c",
        "for i in 1 2 3; do echo $i; done; echo err >&2",
      );
      await hull.ok("wait", "talker");
      const both = { status: 0, stdout: "1\n2\n3\n", stderr: "err\n" };
      expect(await hull.run("logs", "talker")).toEqual(both);
      expect(await hull.run("logs", "--tail", "2", "talker")).toEqual({ ...both, stdout: "3\n" });
      expect(await hull.ok("logs", "-n", "0", "talker")).toBe("");
      expect(await hull.run("logs", "-f", "talker")).toEqual(both);
      const file = join(hull.root, "logs", "default", `${id}.log`);
      expect(statSync(file).mode & 0o777).toBe(0o600);
      await hull.ok("rm", "talker");
      expect(existsSync(file)).toBe(false);
    });

    test("-f goes on until the container ends", async () => {
      const script = "i=0; while [ $i -lt 20 ]; do echo $i; i=$((i+1)); sleep 0.05; done";
      await hull.ok("run", "-d", "--name", "counter", "busybox", "sh", "-c", script);
      expect(await hull.ok("logs", "-f", "counter")).toBe(Array.from({ length: 20 }, (_, i) => i).join("\n"));
      await hull.ok("rm", "counter");
    });

    test("have the time of each line, and begin and end at times", async () => {
      const script = "echo early; sleep 1.2; echo late; echo oops >&2";
      await hull.ok("run", "-d", "--name", "timed", "busybox", "sh", "-c", script);
      await hull.ok("wait", "timed");
      const { stdout, stderr } = await hull.run("logs", "-t", "timed");
      const line = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) (early|late)$/;
      const [early, late] = stdout
        .trim()
        .split("\n")
        .map((text) => line.exec(text));
      expect([early?.[2], late?.[2]]).toEqual(["early", "late"]);
      expect(stderr).toMatch(/^\S+Z oops\n$/);
      const between = new Date(Date.parse(late?.[1] ?? "") - 300).toISOString();
      const after = { status: 0, stdout: "late\n", stderr: "oops\n" };
      expect(await hull.run("logs", "--since", between, "timed")).toEqual(after);
      expect(await hull.ok("logs", "--since", "1h", "--until", between, "timed")).toBe("early");
      expect(await hull.ok("logs", "--until", between, "-f", "timed")).toBe("early");
      expect(await hull.ok("logs", "--since", String(Math.floor(Date.now() / 1000) + 100), "timed")).toBe("");
      expect((await hull.run("logs", "--since", "soon", "timed")).stderr).toContain("--since takes a time");
      await hull.ok("rm", "timed");
    });

    test("are not there for what ran in the foreground, and that is said", async () => {
      await hull.ok("run", "--name", "fore", "busybox", "true");
      expect((await hull.run("logs", "fore")).stderr).toContain("its output went to the terminal that ran it");
      await hull.ok("rm", "fore");
    });
  });

  test("a namespace has containers and images of its own", async () => {
    expect(await hull.ok("-n", "other", "images", "-q")).toBe("");
    await hull.run("-n", "other", "load", "-i", join(hull.folder, "busybox.tar"));
    expect(await hull.ok("-n", "other", "run", "--rm", "busybox", "echo", "here")).toBe("here");
  });

  test("info and version tell of the daemon", async () => {
    expect(await hull.ok("info")).toMatch(/^Containers: \d+\n/);
    expect(await hull.ok("version")).toMatch(/^Client:\n Version: +\S+[\s\S]*\nServer:\n Version: +\S+/);
  });

  test("a wrong command or flag is answered with the right one", async () => {
    expect((await hull.run("pss")).stderr).toBe('hull: "pss" is not a command. Did you mean "hull ps"?\n');
    expect((await hull.run("run", "--volme", "x")).stderr).toContain('Did you mean "--volume"?');
    expect((await hull.run("--help")).stdout).toContain("Usage: hull");
    expect((await hull.run("run", "--help")).stdout).toContain("Usage: hull run");
  });

  function mountsBelow(folder: string): string[] {
    mkdirSync(folder, { recursive: true });
    return mountInfo()
      .map(({ target }) => target)
      .filter((target) => target.startsWith(`${folder}/`));
  }
});
