/** `kill -9` of the daemon with containers running, and its restart on the same folders: the real `ctr` finds everything again. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeBusyboxImage } from "../../scripts/image.ts";
import { image } from "../support/busybox.ts";
import { noContainerd } from "../support/containerd.ts";
import { removeLeftovers } from "../support/leftovers.ts";
import { endOf, type Outcome, runProgram, type Server } from "../support/process.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { type Place, placeIn, processesOf, startDaemon } from "./fixture.ts";

const suite = noContainerd === undefined ? describe : describe.skip;

suite(`restart${noContainerd === undefined ? "" : ` (skipped: ${noContainerd})`}`, () => {
  let folder: Scratch;
  let place: Place;
  let daemon: Server;
  const namespace = `restart-${process.pid}`;
  const ctr = (...args: string[]): Promise<Outcome> =>
    runProgram(["ctr", "-a", place.address, "-n", namespace, ...args], { timeoutMs: 20_000 });
  const done = async (...args: string[]): Promise<string> => {
    const { status, stdout, stderr } = await ctr(...args);
    if (status !== 0) throw new Error(`ctr ${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  /** Ends the daemon as a crash does, and starts it anew. `between` happens while there is none. */
  const crash = async (between: () => Promise<void> = async () => {}): Promise<void> => {
    await daemon.stop("SIGKILL");
    await between();
    daemon = await startDaemon(place);
  };
  const status = async (id: string): Promise<string | undefined> =>
    (await done("tasks", "ls"))
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .find(([name]) => name === id)?.[2];

  const pidOf = async (id: string): Promise<number> =>
    Number(new RegExp(`^${id} +(\\d+)`, "m").exec(await done("tasks", "ls"))?.[1]);

  beforeAll(async () => {
    folder = scratch();
    place = placeIn(folder.path);
    daemon = await startDaemon(place);
    writeBusyboxImage(folder.join("busybox.tar"), image);
    await done("images", "import", folder.join("busybox.tar"));
  });
  afterAll(async () => {
    for (const id of ["runs", "ends", "attached", "killed"]) await ctr("tasks", "rm", "-f", id);
    await daemon.stop();
    // What a failed test left, by the folder that its command line names.
    for (const pid of (await processesOf(folder.path)).keys()) process.kill(pid, "SIGKILL");
    folder[Symbol.dispose]();
    removeLeftovers(namespace);
  });

  test("containers go on; each is listed, exec'd into, waited for, killed", async () => {
    await done("run", "-d", "--null-io", image, "runs", "sleep", "600");
    await done("run", "-d", "--null-io", image, "killed", "sleep", "600");
    await crash();
    expect(await status("runs")).toBe("RUNNING");
    expect(await status("killed")).toBe("RUNNING");
    expect(await done("tasks", "exec", "--exec-id", "x", "runs", "echo", "still here")).toBe("still here\n");
    const waiting = ctr("tasks", "attach", "killed");
    await done("tasks", "kill", "-s", "SIGKILL", "killed");
    // Which deletes the task, too.
    expect((await waiting).status).toBe(137);
    expect(await status("killed")).toBeUndefined();
    await done("containers", "rm", "killed");
  });

  test("one that ended while there was no daemon has its true status", async () => {
    await done("run", "-d", "--null-io", image, "ends", "sh", "-c", "while ! [ -e /go ]; do sleep 0.05; done; exit 42");
    await done("tasks", "exec", "--exec-id", "go", "-d", "ends", "sh", "-c", "sleep 0.5; touch /go");
    const pid = await pidOf("ends");
    await crash(() => endOf(pid));
    expect(await status("ends")).toBe("STOPPED");
    const { stderr } = await ctr("tasks", "rm", "ends");
    expect(stderr).toContain("exit with non-zero exit code 42");
    await done("containers", "rm", "ends");
  });

  test("the container of an attached run goes on", async () => {
    const script = "echo ready; while ! [ -e /go ]; do sleep 0.05; done; exit 5";
    const run = Bun.spawn(["ctr", "-a", place.address, "-n", namespace, "run", image, "attached", "sh", "-c", script], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
    });
    const { value } = await run.stdout.getReader().read();
    expect(new TextDecoder().decode(value)).toBe("ready\n");
    await crash();
    run.kill("SIGKILL");
    await run.exited;
    expect(await status("attached")).toBe("RUNNING");
    await done("tasks", "exec", "--exec-id", "go", "attached", "touch", "/go");
    // Not by attaching: the ctr that lost its daemon has deleted the streams behind it.
    for (let i = 0; i < 1000 && (await status("attached")) === "RUNNING"; i++) await Bun.sleep(50);
    expect((await ctr("tasks", "rm", "attached")).stderr).toContain("exit code 5");
    await done("containers", "rm", "attached");
  });

  test("images and snapshots are there, and a new container can be run", async () => {
    await crash();
    expect(await done("images", "ls", "-q")).toBe(`${image}\n`);
    expect(await done("run", "--rm", image, "fresh", "echo", "after")).toBe("after\n");
    expect(await status("runs")).toBe("RUNNING");
  });
});
