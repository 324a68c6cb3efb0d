/**
 * Debian's dockerd, which speaks only containerd's API to what runs its containers.
 *
 *   HULL_CLIENTS_OF=containerd bun test test/clients        the same above the real containerd
 *   HULL_DOCKER_PREFIX=DIR HULL_DOCKER_IMAGES=containerd …  Docker of 25 or newer as unpacked in DIR, with hull for its store of images
 */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { busyboxLayer } from "../../scripts/image.ts";
import { type Daemon, startContainerd } from "../support/containerd.ts";
import { startHull } from "../support/hull.ts";
import { removeLeftovers } from "../support/leftovers.ts";
import { isAlive } from "../support/process.ts";
import { runOnTerminal } from "../support/pty.ts";
import { LocalRegistry } from "../support/registry.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { processesBelow } from "../support/store-state.ts";
import { DockerEngine, noDocker, noOwnImages } from "./docker.ts";

setDefaultTimeout(60_000);

const image = "busybox:1";
const start = process.env.HULL_CLIENTS_OF === "containerd" ? startContainerd : startHull;
const images = process.env.HULL_DOCKER_IMAGES === "containerd" ? "containerd" : "own";
const none = ["--network", "none"];

describe.skipIf(noDocker !== undefined)(`dockerd${noDocker === undefined ? "" : ` (skipped: ${noDocker})`}`, () => {
  let folder: Scratch;
  let daemon: Daemon;
  let docker: DockerEngine;

  beforeAll(async () => {
    folder = scratch();
    daemon = await start(folder.join("c"));
    docker = new DockerEngine(folder.join("d"), daemon.address, `/${basename(folder.path)}`, images);
    await docker.start();
    writeFileSync(folder.join("busybox.tar"), busyboxLayer());
    await docker.must("import", "--change", "ENV PATH=/bin", folder.join("busybox.tar"), image);
  });
  afterEach(async () => {
    const left = (await docker.must("ps", "--all", "--quiet")).split("\n").filter(Boolean);
    if (left.length > 0) await docker.must("rm", "--force", ...left);
  });
  afterAll(async () => {
    await docker[Symbol.asyncDispose]();
    await daemon[Symbol.asyncDispose]();
    removeLeftovers(basename(folder.path));
    folder[Symbol.dispose]();
  });

  const state = (id: string, field: string): Promise<string> =>
    docker.must("inspect", "--format", `{{.State.${field}}}`, id);
  const detached = (name: string, ...args: string[]) =>
    docker.must("run", "--detach", ...none, "--name", name, ...args);

  test("runs programs with their output, input and exit status", async () => {
    expect(await docker.run("run", "--rm", ...none, image, "sh", "-c", "echo out; echo err >&2; exit 7")).toEqual({
      status: 7,
      stdout: "out\n",
      stderr: "err\n",
    });
    const missing = await docker.run("run", "--rm", ...none, image, "/missing");
    expect(missing).toMatchObject({ status: 127, stderr: expect.stringMatching(/"\/missing".*no such file/) });
    const shell = ["sh", "-c", `echo typed | ${docker.client.join(" ")} run -i --rm ${none.join(" ")} ${image} cat`];
    expect(Bun.spawnSync(shell).stdout.toString()).toBe("typed\n");
  });

  test("answers for a running container: exec, top, stats, pause, update, restart, stop", async () => {
    await detached(
      "web",
      "--memory",
      "64m",
      "--cpus",
      "0.5",
      image,
      "sh",
      "-c",
      "trap 'exit 3' TERM; while :; do sleep 0.1; done",
    );
    expect(await docker.must("exec", "web", "echo", "beside")).toBe("beside");
    expect((await docker.run("exec", "web", "sh", "-c", "exit 9")).status).toBe(9);
    expect([126, 127]).toContain((await docker.run("exec", "web", "/missing")).status);
    expect(await docker.must("top", "web")).toContain("sleep 0.1");
    expect(await docker.must("stats", "--no-stream", "--format", "{{.MemUsage}}", "web")).toMatch(/ \/ 64MiB$/);
    expect(await limits("web")).toEqual({ memory: 64 << 20, cpus: 0.5 });

    await docker.must("update", "--memory", "32m", "--memory-swap", "32m", "--cpus", "0.25", "web");
    expect(await limits("web")).toEqual({ memory: 32 << 20, cpus: 0.25 });

    await docker.must("pause", "web");
    expect(await state("web", "Status")).toBe("paused");
    await docker.must("unpause", "web");
    expect(await state("web", "Status")).toBe("running");

    const before = await state("web", "Pid");
    await docker.must("restart", "web");
    expect(await state("web", "Pid")).not.toBe(before);
    await docker.must("stop", "web");
    expect(await state("web", "ExitCode")).toBe("3");
    await docker.must("start", "web");
    await docker.must("kill", "web");
    expect(await docker.must("wait", "web")).toBe("137");
  });

  /** What the kernel holds a container to: bytes, and processors. */
  async function limits(name: string): Promise<{ memory: number; cpus: number }> {
    const pid = await state(name, "Pid");
    const groups = readFileSync(`/proc/${pid}/cgroup`, "utf8");
    const path = (controller: string): string | undefined =>
      new RegExp(`^\\d+:(?:.*,)?${controller}(?:,.*)?:(.*)$`, "m").exec(groups)?.[1];
    const read = (file: string): string => readFileSync(`/sys/fs/cgroup/${file}`, "utf8").trim();
    const [memory, cpu] = [path("memory"), path("cpu")];
    if (memory === undefined || cpu === undefined) {
      const [quota, period] = read(`${path("")}/cpu.max`)
        .split(" ")
        .map(Number);
      return { memory: Number(read(`${path("")}/memory.max`)), cpus: (quota ?? 0) / (period ?? 1) };
    }
    const quota = Number(read(`cpu${cpu}/cpu.cfs_quota_us`));
    return {
      memory: Number(read(`memory${memory}/memory.limit_in_bytes`)),
      cpus: quota / Number(read(`cpu${cpu}/cpu.cfs_period_us`)),
    };
  }

  test("is told that memory ran out", async () => {
    const eat = "x=a; while :; do x=$x$x; done";
    const { status } = await docker.run("run", ...none, "--name", "eater", "--memory", "20m", image, "sh", "-c", eat);
    expect(status).toBe(137);
    expect(await state("eater", "OOMKilled")).toBe("true");
  });

  test("has a terminal that is typed to and resized", async () => {
    using screen = runOnTerminal([...docker.client, "run", "-it", "--rm", ...none, image, "sh"], {
      size: { columns: 90, rows: 31 },
    });
    await screen.shows(/\/ # /);
    // docker tells the size once the process runs.
    await screen.type('until stty size | grep -q "^31 9"; do sleep 0.1; done; stty size\n');
    await screen.shows(/31 90/);
    screen.resize({ columns: 70, rows: 20 });
    process.kill(screen.pid, "SIGWINCH");
    await screen.type('until stty size | grep -q "^20 7"; do sleep 0.1; done; stty size\n');
    await screen.shows(/20 70/);
    await screen.type("exit 5\n");
    expect(await screen.exited).toBe(5);
  });

  test("builds images from nothing, and commits and copies", async () => {
    const context = folder.join("context");
    mkdirSync(context);
    writeFileSync(folder.join("context", "root.tar"), busyboxLayer());
    writeFileSync(
      folder.join("context", "Dockerfile"),
      'FROM scratch\nADD root.tar /\nENV PATH=/bin\nRUN echo built > /made\nUSER guest\nCMD ["sh", "-c", "cat /made; id -un"]\n',
    );
    await docker.must("build", ...none, "--tag", "built:1", context);
    expect(await docker.must("run", "--rm", ...none, "built:1")).toBe("built\nguest");
    const failing = "FROM built:1\nRUN exit 6\n";
    writeFileSync(folder.join("context", "Dockerfile"), failing);
    expect(await docker.run("build", ...none, context)).toMatchObject({
      status: 6,
      stderr: expect.stringContaining("returned a non-zero code: 6"),
    });
    await docker.run("run", ...none, "--name", "changed", image, "sh", "-c", "echo changed > /made");
    await docker.must("commit", "changed", "changed:1");
    expect(await docker.must("run", "--rm", ...none, "changed:1", "cat", "/made")).toBe("changed");
    await docker.must("cp", "changed:/made", folder.join("copied"));
    expect(readFileSync(folder.join("copied"), "utf8")).toBe("changed\n");
  });

  const stored = noOwnImages === undefined ? "" : ` (skipped: ${noOwnImages})`;
  test.skipIf(noOwnImages !== undefined)(`keeps images: push, pull, save, load, BuildKit, prune${stored}`, async () => {
    await using registry = await LocalRegistry.start(folder.join("registry"));
    const name = `${registry.host}/kept/busybox:1`;
    await docker.must("tag", image, name);
    const pushed = await docker.must("push", name);
    await docker.must("rmi", name);
    const pulled = await docker.must("pull", name);
    expect(pushed).toContain(/Digest: (\S+)/.exec(pulled)?.[1] ?? "no digest");
    await docker.must("save", "--output", folder.join("saved.tar"), name);
    await docker.must("rmi", name);
    expect(await docker.must("load", "--input", folder.join("saved.tar"))).toContain(name);
    expect(await docker.must("run", "--rm", ...none, name, "echo", "loaded")).toBe("loaded");

    const context = folder.join("buildkit");
    mkdirSync(context);
    writeFileSync(folder.join("buildkit", "root.tar"), busyboxLayer());
    const steps = [
      ...["FROM scratch AS base", "ADD root.tar /", "ENV PATH=/bin", "RUN echo base > /made", "FROM scratch"],
      ...[
        "COPY --from=base / /",
        "ENV PATH=/bin",
        "RUN --mount=type=cache,target=/cache echo more | tee -a /made /cache/x",
      ],
      'CMD ["cat", "/made"]',
    ];
    writeFileSync(folder.join("buildkit", "Dockerfile"), `${steps.join("\n")}\n`);
    const build = () => docker.buildKit(...none, "--tag", "kit:1", context);
    expect(await build()).toMatchObject({ status: 0, stderr: expect.not.stringContaining("CACHED") });
    expect(await docker.must("run", "--rm", ...none, "kit:1")).toBe("base\nmore");
    expect(await build()).toMatchObject({ status: 0, stderr: expect.stringContaining("CACHED") });
    await docker.must("rmi", "kit:1", name);
    await docker.must("builder", "prune", "--all", "--force");
    expect(await docker.must("system", "df", "--format", "{{.Type}} {{.Size}}")).toContain("Build Cache 0B");
  });

  test("reports what happens, in its order", async () => {
    const since = `${Date.now() / 1000}`;
    await detached("told", image, "sleep", "100");
    await docker.must("exec", "told", "true");
    await docker.must("pause", "told");
    await docker.must("unpause", "told");
    await docker.must("rm", "--force", "told");
    const now = `${Date.now() / 1000}`;
    const events = ["events", "--since", since, "--until", now, "--filter", "container=told"];
    expect((await docker.must(...events, "--format", "{{.Action}}")).split("\n")).toEqual([
      "create",
      "start",
      "exec_create: true ",
      "exec_start: true ",
      "exec_die",
      "pause",
      "unpause",
      "kill",
      "die",
      "destroy",
    ]);
  });

  test("starts again what its policy says", async () => {
    await detached("again", "--restart", "always", image, "sleep", "1000");
    const before = await state("again", "Pid");
    process.kill(Number(before), "SIGKILL");
    await until(async () => (await state("again", "Pid")) !== before && (await state("again", "Running")) === "true");
    expect(await state("again", "Pid")).not.toBe(before);
    await detached("twice", "--restart", "on-failure:2", image, "false");
    await until(async () => (await state("twice", "Status")) === "exited");
    expect(await docker.must("inspect", "--format", "{{.RestartCount}}", "twice")).toBe("2");
  });

  test("keeps its containers through a kill of the daemon below it, with true exit statuses", async () => {
    await detached("stays", image, "sleep", "1000");
    await detached("ends", image, "sh", "-c", "until [ -e /end ]; do sleep 0.05; done; exit 42");
    await detached("restarts", "--restart", "always", image, "sleep", "1000");
    const pids = await Promise.all(["stays", "ends", "restarts"].map((id) => state(id, "Pid")));
    await daemon.stop("SIGKILL");
    // It ends while nobody but its shim is there.
    writeFileSync(`/proc/${pids[1]}/root/end`, "");
    await until(() => Promise.resolve(!isAlive(Number(pids[1]))));
    daemon = await start(folder.join("c"));
    expect(await docker.must("wait", "ends")).toBe("42");
    await until(async () => (await docker.run("exec", "stays", "echo", "alive")).stdout === "alive\n");
    expect(await state("stays", "Pid")).toBe(pids[0] ?? "");
    expect(await state("restarts", "Pid")).toBe(pids[2] ?? "");
    expect(await docker.must("run", "--rm", ...none, image, "echo", "new")).toBe("new");
    await docker.must("stop", "--time", "0", "stays");
    expect(await state("stays", "ExitCode")).toBe("137");
  });

  test("finds its containers again when it comes back itself", async () => {
    await detached("stays", image, "sleep", "1000");
    await detached("ends", image, "sh", "-c", "until [ -e /end ]; do sleep 0.05; done; echo said; exit 43");
    const pids = await Promise.all(["stays", "ends"].map((id) => state(id, "Pid")));
    await docker.stop("SIGKILL");
    writeFileSync(`/proc/${pids[1]}/root/end`, "");
    await until(() => Promise.resolve(!isAlive(Number(pids[1]))));
    await docker.start();
    expect(await state("stays", "Pid")).toBe(pids[0] ?? "");
    expect(await docker.must("exec", "stays", "echo", "alive")).toBe("alive");
    expect(await docker.must("wait", "ends")).toBe("43");
    await docker.must("rm", "--force", "stays", "ends");
    // Nothing of theirs is left below either daemon.
    const shims = processesBelow(daemon.state).filter(
      ({ pid, line }) => pid !== daemon.pid && !line.endsWith(" spare"),
    );
    expect(shims).toEqual([]);
  });
});

/** Asks until the answer is yes, for ten seconds; docker has no event for a test to wait for. */
async function until(asked: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 40_000;
  while (!(await asked())) {
    if (Date.now() > end) throw new Error("that did not happen within 40 s");
    await Bun.sleep(50);
  }
}
