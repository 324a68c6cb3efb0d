/**
 * The real `ctr` on a daemon that takes crun because it works where it runs, as on most users' machines; runc where a container or the
 * configuration names it.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { cgroupAt, removeCgroup } from "@hull/sys/cgroup";
import { writeBusyboxImage } from "../../scripts/image.ts";
import { image } from "../support/busybox.ts";
import { type Daemon, noContainerd } from "../support/containerd.ts";
import { noCrun, whereCrunWorks } from "../support/crun.ts";
import { startHull } from "../support/hull.ts";
import { type Outcome, runProgram, runTypedTo } from "../support/process.ts";
import { scratch } from "../support/scratch.ts";

const reason = noCrun ?? noContainerd;
const namespace = `crun-${process.pid}`;

describe.skipIf(reason !== undefined)(`hull with crun${reason === undefined ? "" : ` (${reason})`}`, () => {
  const stack = new AsyncDisposableStack();
  const daemons: { crun?: Daemon; runc?: Daemon } = {};

  beforeAll(async () => {
    const folder = stack.use(scratch());
    stack.defer(() => removeCgroup(cgroupAt(`/${namespace}`)));
    writeBusyboxImage(folder.join("busybox.tar"), image);
    const configured = '[plugins."io.containerd.runtime.v2.task"]\noci_runtime = "runc"\n';
    const start = (name: string, config: string) =>
      startHull(folder.join(name), config, { behind: whereCrunWorks }).then((daemon) => stack.use(daemon));
    daemons.crun = await start("crun", "");
    daemons.runc = await start("runc", configured);
    for (const daemon of Object.values(daemons)) await ok(daemon, "images", "import", folder.join("busybox.tar"));
  });
  afterAll(() => stack.disposeAsync());

  const command = ({ address }: Daemon, args: readonly string[]): string[] => [
    ...["ctr", "--address", address, "--namespace", namespace],
    ...args,
  ];
  const ctr = (daemon: Daemon, ...args: string[]): Promise<Outcome> => runProgram(command(daemon, args));

  /** Runs what has to succeed. @returns its output */
  async function ok(daemon: Daemon | undefined, ...args: string[]): Promise<string> {
    if (daemon === undefined) throw new Error("the daemon is not started");
    const { status, stdout, stderr } = await ctr(daemon, ...args);
    if (status !== 0) throw new Error(`"ctr ${args.join(" ")}" ended with status ${status}: ${stderr}`);
    return stdout;
  }

  function crun(): Daemon {
    if (daemons.crun === undefined) throw new Error("the daemon is not started");
    return daemons.crun;
  }

  /** The program that the shim recorded as the container's OCI runtime. */
  const runtimeOf = ({ state }: Daemon, id: string): string =>
    readFileSync(join(state, "io.containerd.runtime.v2.task", namespace, id, "runtime"), "latin1");

  async function remove(daemon: Daemon | undefined, id: string): Promise<void> {
    await ok(daemon, "tasks", "rm", "--force", id);
    await ok(daemon, "containers", "rm", id);
  }

  test("is chosen by itself; another one by the configuration, and by a container", async () => {
    for (const [daemon, flags, name] of [
      [daemons.crun, [], "crun"],
      [daemons.runc, [], "runc"],
      [daemons.crun, ["--runc-binary", "runc"], "runc"],
      [daemons.runc, ["--runc-binary", "crun"], "crun"],
    ] as const) {
      await ok(daemon, "run", "--detach", "--null-io", ...flags, image, "which", "sleep", "1000");
      expect(runtimeOf(daemon ?? crun(), "which")).toEndWith(name);
      await remove(daemon, "which");
    }
  });

  test("output, exit status and flags", async () => {
    const run = (...args: string[]): Promise<string> => ok(crun(), "run", "--rm", ...args);
    expect(await run(image, "a", "echo", "hello")).toBe("hello\n");
    expect(await run("--env", "A=b c", "--cwd", "/tmp", image, "b", "sh", "-c", "echo $A; pwd")).toBe("b c\n/tmp\n");
    expect(await run("--net-host", image, "c", "ls", "/sys/class/net")).toContain("lo");
    const capabilities = await run("--privileged", image, "d", "grep", "CapEff", "/proc/self/status");
    // CAP_SYS_ADMIN, 21, is none that a container has otherwise. Not every host lets its root have them all.
    expect(Number.parseInt(capabilities.replace("CapEff:", "").trim(), 16) / 2 ** 21).toSatisfy(
      (bits) => bits % 2 >= 1,
    );
    expect((await ctr(crun(), "run", "--rm", "--read-only", image, "e", "touch", "/file")).stderr).toContain(
      "Read-only file system",
    );
    expect((await ctr(crun(), "run", "--rm", image, "f", "sh", "-c", "exit 7")).status).toBe(7);
    expect(await run("--null-io", image, "h", "echo", "unseen")).toBe("");
  });

  test("a memory limit is the cgroup's", async () => {
    await ok(crun(), "run", "-d", "--null-io", "--memory-limit", "67108864", image, "limited", "sleep", "1000");
    const metrics = await ok(crun(), "tasks", "metrics", "--format", "json", "limited");
    expect(metrics).toMatch(/"(usage_)?limit": 67108864/);
    await remove(crun(), "limited");
  });

  test("a missing program is told, and nothing stays", async () => {
    const { status, stderr } = await ctr(crun(), "run", "--rm", image, "missing", "no-such-binary");
    expect(status).toBe(1);
    expect(stderr).toContain("executable file `no-such-binary` not found in $PATH");
    expect(await ok(crun(), "containers", "ls", "-q")).toBe("");
    expect(await ok(crun(), "tasks", "ls", "-q")).toBe("");
  });

  test("exec, pause, resume, and a signal to all", async () => {
    await ok(crun(), "run", "-d", "--null-io", image, "t", "sh", "-c", "sleep 1000 & sleep 1000");
    expect(await ok(crun(), "tasks", "exec", "--exec-id", "x1", "t", "echo", "from exec")).toBe("from exec\n");
    expect((await ctr(crun(), "tasks", "exec", "--exec-id", "x2", "t", "sh", "-c", "exit 5")).status).toBe(5);
    await ok(crun(), "tasks", "exec", "--detach", "--exec-id", "x3", "t", "sleep", "1000");
    await ok(crun(), "tasks", "pause", "t");
    expect(await ok(crun(), "tasks", "ls")).toContain("PAUSED");
    await ok(crun(), "tasks", "resume", "t");
    expect(await ok(crun(), "tasks", "ls")).toContain("RUNNING");
    const processes = (await ok(crun(), "tasks", "ps", "t")).trim().split("\n").slice(1);
    // The shell became the last of its commands.
    expect(processes).toHaveLength(3);
    await ok(crun(), "tasks", "kill", "--all", "--signal", "SIGKILL", "t");
    // Attaching lasts until the end, and deletes the task then.
    await ctr(crun(), "tasks", "attach", "t");
    await ctr(crun(), "tasks", "rm", "t");
    expect(await ok(crun(), "tasks", "ls", "-q")).toBe("");
    await ok(crun(), "containers", "rm", "t");
  });

  test("a terminal", async () => {
    // ctr tells the size after the start: until then there is none.
    const script =
      'tty; until size=$(stty size 2>/dev/null) && [ -n "$size" ]; do :; done; echo $size; read word; echo got $word; exit 3';
    const typing = { terminal: true, when: /30 100/, type: "hello\n" };
    const { status, stdout } = await runTypedTo(
      command(crun(), ["run", "--rm", "--tty", image, "p", "sh", "-c", script]),
      typing,
    );
    expect(stdout).toContain("/dev/pts/0");
    expect(stdout).toContain("30 100");
    expect(stdout).toContain("got hello");
    expect(status).toBe(3);
  });
});
