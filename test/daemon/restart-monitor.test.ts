/** The restart monitor, by containerd's labels through the real `ctr`, and by `hull run --restart`. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { writeBusyboxImage } from "../../scripts/image.ts";
import { image } from "../support/busybox.ts";
import { noContainerd } from "../support/containerd.ts";
import { hullCommand } from "../support/hull.ts";
import { removeLeftovers } from "../support/leftovers.ts";
import { type Outcome, runProgram, type Server } from "../support/process.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { type Place, placeIn, startDaemon } from "./fixture.ts";

const suite = noContainerd === undefined ? describe : describe.skip;

suite(`restart monitor${noContainerd === undefined ? "" : ` (skipped: ${noContainerd})`}`, () => {
  let folder: Scratch;
  let place: Place;
  let config: string;
  let daemon: Server;
  const namespace = `monitor-${process.pid}`;
  const ctr = (...args: string[]): Promise<Outcome> =>
    runProgram(["ctr", "-a", place.address, "-n", namespace, ...args], { timeoutMs: 20_000 });
  const hull = (...args: string[]): Promise<Outcome> =>
    runProgram([...hullCommand, "--address", place.address, "--namespace", namespace, ...args], { timeoutMs: 20_000 });
  const ok = async (outcome: Promise<Outcome>): Promise<string> => {
    const { status, stdout, stderr } = await outcome;
    if (status !== 0) throw new Error(stderr);
    return stdout.trim();
  };
  const task = async (id: string): Promise<{ pid: string; status: string } | undefined> =>
    (await ok(ctr("tasks", "ls")))
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .flatMap(([name, pid = "", status = ""]) => (name === id ? [{ pid, status }] : []))[0];
  const label = async (id: string, name: string): Promise<string | undefined> => {
    const info = JSON.parse(await ok(ctr("containers", "info", id))) as { Labels: Record<string, string> };
    return info.Labels[`containerd.io/restart.${name}`];
  };
  /** Asks until the answer is as wished, for up to 20 s. */
  const until = async <T>(ask: () => Promise<T>, wished: (answer: T) => boolean): Promise<T> => {
    const end = Date.now() + 60_000;
    for (;;) {
      const answer = await ask();
      if (wished(answer) || Date.now() > end) return answer;
      await Bun.sleep(50);
    }
  };

  beforeAll(async () => {
    folder = scratch();
    place = placeIn(folder.path);
    config = folder.join("config.toml");
    // The name that containerd 1.x has for the plugin.
    writeFileSync(config, 'version = 2\n[plugins."io.containerd.internal.v1.restart"]\ninterval = "1s"\n');
    daemon = await startDaemon(place, config);
    writeBusyboxImage(folder.join("busybox.tar"), image);
    await ok(ctr("images", "import", folder.join("busybox.tar")));
  });
  afterAll(async () => {
    const ids = (await ctr("containers", "ls", "-q")).stdout.split("\n").filter((id) => id !== "");
    for (const id of ids) {
      await ctr("containers", "label", id, "containerd.io/restart.status=");
      await ctr("tasks", "rm", "-f", id);
    }
    await daemon.stop();
    folder[Symbol.dispose]();
    removeLeftovers(namespace);
  });

  const labelled = (policy: string, ...more: string[]): string[] =>
    ["status=running", `policy=${policy}`, ...more].flatMap((text) => ["--label", `containerd.io/restart.${text}`]);

  test("a container that is to run is started without a client, with its log", async () => {
    const log = folder.join("log");
    writeFileSync(folder.join("script"), "echo here; sleep 600");
    const mount = `type=bind,src=${folder.path},dst=/mnt,options=rbind:ro`;
    const flags = [...labelled("always", `loguri=file://${log}`), "--mount", mount];
    await ok(ctr("containers", "create", ...flags, image, "a1", "sh", "/mnt/script"));
    expect(
      await until(
        () => task("a1"),
        (found) => found?.status === "RUNNING",
      ),
    ).toMatchObject({ status: "RUNNING" });
    expect(await label("a1", "count")).toBe("1");
    expect(readFileSync(log, "utf8")).toBe("here\n");
  });

  test("one that was killed comes back before the interval is over", async () => {
    const before = await task("a1");
    await ok(ctr("tasks", "kill", "-s", "KILL", "a1"));
    const after = await until(
      () => task("a1"),
      (found) => found?.status === "RUNNING" && found.pid !== before?.pid,
    );
    expect(after?.pid).not.toBe(before?.pid);
    expect(await label("a1", "count")).toBe("2");
  });

  test("one that is not to run is ended", async () => {
    await ok(ctr("containers", "label", "a1", "containerd.io/restart.status=stopped"));
    expect(
      await until(
        () => task("a1"),
        (found) => found === undefined,
      ),
    ).toBeUndefined();
  });

  test("on-failure goes by exit status and number of tries", async () => {
    await ok(ctr("run", "-d", "--null-io", ...labelled("on-failure:2"), image, "f1", "sh", "-c", "exit 3"));
    expect(
      await until(
        () => label("f1", "count"),
        (count) => count === "2",
      ),
    ).toBe("2");
    await ok(ctr("run", "-d", "--null-io", ...labelled("on-failure"), image, "f2", "true"));
    await Bun.sleep(1500);
    expect(await label("f1", "count")).toBe("2");
    expect(await label("f2", "count")).toBeUndefined();
    expect(await task("f1")).toMatchObject({ status: "STOPPED" });
  });

  test("a paused one is left alone, one that a person stopped too", async () => {
    await ok(ctr("run", "-d", "--null-io", ...labelled("always"), image, "p1", "sleep", "600"));
    await ok(ctr("tasks", "pause", "p1"));
    await ok(
      ctr("run", "-d", "--null-io", ...labelled("unless-stopped", "explicitly-stopped=true"), image, "u1", "true"),
    );
    await Bun.sleep(1500);
    expect(await task("p1")).toMatchObject({ status: "PAUSED" });
    expect(await task("u1")).toMatchObject({ status: "STOPPED" });
    await ok(ctr("tasks", "resume", "p1"));
  });

  test("the end of a task while no daemon ran is made good by the next one", async () => {
    const before = await task("p1");
    const count = Number((await label("p1", "count")) ?? 0);
    await daemon.stop("SIGKILL");
    process.kill(Number(before?.pid), "SIGKILL");
    daemon = await startDaemon(place, config);
    const after = await until(
      () => task("p1"),
      (found) => found?.status === "RUNNING" && found.pid !== before?.pid,
    );
    expect(after).toMatchObject({ status: "RUNNING" });
    expect(await label("p1", "count")).toBe(String(count + 1));
  });

  test("hull run --restart, stop, start, update and rm", async () => {
    const run = ["run", "-d", "--pull", "never", "--restart"];
    await ok(hull(...run, "always", "--name", "web", "busybox", "sh", "-c", "echo up; sleep 600"));
    const { id, pid } = JSON.parse(await ok(hull("inspect", "web"))).map(
      (one: { Id: string; State: { Pid: number } }) => ({ id: one.Id, pid: one.State.Pid }),
    )[0];
    await ok(ctr("tasks", "kill", "-s", "KILL", id));
    await until(
      () => task(id),
      (found) => found?.status === "RUNNING" && found.pid !== String(pid),
    );
    expect(
      await until(
        () => ok(hull("logs", "web")),
        (text) => text === "up\nup",
      ),
    ).toBe("up\nup");
    await ok(hull("stop", "-t", "0", "web"));
    await Bun.sleep(1500);
    expect(await task(id)).toMatchObject({ status: "STOPPED" });
    await ok(hull("start", "web"));
    expect(await label(id, "status")).toBe("running");
    await ok(hull("update", "--restart", "on-failure:3", "--pids-limit", "99", "web"));
    const [updated] = JSON.parse(await ok(hull("inspect", "web")));
    expect(updated.HostConfig).toMatchObject({
      RestartPolicy: { Name: "on-failure", MaximumRetryCount: 3 },
      PidsLimit: 99,
    });
    await ok(hull("update", "--restart", "no", "web"));
    expect(await label(id, "status")).toBeUndefined();
    await ok(hull("rm", "-f", "web"));
  });

  test("flags that don't go together are refused", async () => {
    const run = (...flags: string[]): Promise<Outcome> => hull("run", "--pull", "never", ...flags, "busybox", "true");
    expect((await run("-d", "--restart", "sometimes")).stderr).toContain('invalid restart policy "sometimes"');
    expect((await run("-d", "--rm", "--restart", "always")).stderr).toContain("cannot specify both --restart and --rm");
    expect((await run("--restart", "always")).stderr).toContain("runs in the background: add -d");
    expect((await hull("update", "web")).stderr).toContain("one or more flags");
  });
});
