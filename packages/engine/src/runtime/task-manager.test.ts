import { describe, expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Spec } from "@hull/oci/spec";
import { processStat } from "@hull/sys/process";
import { FifoReader, FifoWriter, missing, RuntimeFixture, runtimeVariable } from "./fixture.ts";

const why = missing === undefined ? "" : ` (${missing})`;
const debianShim = Bun.which("containerd-shim-runc-v2");

/** A reader can't see the end before the first writer has opened: tests read when the task has been created. */
for (const runtime of ["io.containerd.runc.v2", debianShim]) {
  const skip = missing !== undefined || runtime === null;
  describe.skipIf(skip)(`tasks by ${runtime ?? "containerd-shim-runc-v2 (not installed)"}${why}`, () => {
    const name = runtime ?? "";

    test("a task goes from created to deleted, and its output arrives whole with an end", async () => {
      await using fixture = await RuntimeFixture.open();
      const tasks = fixture.manager();
      const { ctx } = fixture;
      const stdout = fixture.fifo("out");
      const request = {
        ...fixture.container("a", ["sh", "-c", "echo hello; exit 3"], { runtime: name }),
        stdout,
        stderr: stdout,
      };
      using reader = new FifoReader(stdout);
      const { pid } = await tasks.create(ctx, request);
      expect((await tasks.get(ctx, "a")).status).toBe("created");
      const ended = tasks.wait(ctx, "a");
      const before = BigInt(Date.now()) * 1_000_000n;
      expect(await tasks.start(ctx, "a")).toEqual({ pid });
      const exit = await ended;
      expect(exit.exitStatus).toBe(3);
      expect(exit.exitedAt).toBeGreaterThan(before - 5_000_000n);
      expect(exit.exitedAt).toBeLessThan(BigInt(Date.now() + 5) * 1_000_000n);
      expect(await reader.until()).toBe("hello\n");
      expect(await tasks.get(ctx, "a")).toMatchObject({ status: "stopped", exitStatus: 3, pid });
      expect(await tasks.delete(ctx, "a")).toMatchObject({ exitStatus: 3, pid });
      await expect(tasks.get(ctx, "a")).rejects.toThrow("task a not found");
      expect(
        existsSync(`${fixture.options.directories.state}/io.containerd.runtime.v2.task/${fixture.namespace}/a`),
      ).toBe(false);
      await Bun.sleep(100);
      expect(fixture.topics()).toEqual(["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"]);
    }, 120_000);

    test("execs run beside the first process, with statuses of their own", async () => {
      await using fixture = await RuntimeFixture.open();
      const tasks = fixture.manager();
      const { ctx } = fixture;
      await tasks.create(ctx, fixture.container("a", ["sleep", "1000"], { runtime: name }));
      await tasks.start(ctx, "a");
      const stdout = fixture.fifo("out");
      using reader = new FifoReader(stdout);
      await tasks.exec(ctx, {
        id: "a",
        execId: "e1",
        terminal: false,
        stdin: "",
        stdout,
        stderr: stdout,
        spec: processSpec(["sh", "-c", "echo in; exit 7"]),
      });
      await expect(
        tasks.exec(ctx, {
          id: "a",
          execId: "e1",
          terminal: false,
          stdin: "",
          stdout,
          stderr: stdout,
          spec: processSpec(["true"]),
        }),
      ).rejects.toThrow("e1");
      expect((await tasks.get(ctx, "a", "e1")).status).toBe("created");
      const ended = tasks.wait(ctx, "a", "e1");
      const { pid } = await tasks.start(ctx, "a", "e1");
      expect(pid).toBeGreaterThan(0);
      expect((await ended).exitStatus).toBe(7);
      expect(await reader.until()).toBe("in\n");
      expect(await tasks.deleteProcess(ctx, "a", "e1")).toMatchObject({ exitStatus: 7, pid });
      await expect(tasks.delete(ctx, "a")).rejects.toThrow("running");
      const all = tasks.wait(ctx, "a");
      await tasks.kill(ctx, "a", { signal: 9 });
      expect((await all).exitStatus).toBe(137);
      await expect(tasks.kill(ctx, "a", { signal: 9 })).rejects.toThrow("process already finished");
      await tasks.delete(ctx, "a");
    }, 120_000);

    test("a missing program is told by the OCI runtime's own words", async () => {
      await using fixture = await RuntimeFixture.open();
      const tasks = fixture.manager();
      const { ctx } = fixture;
      await expect(tasks.create(ctx, fixture.container("a", ["nothing-here"], { runtime: name }))).rejects.toThrow(
        /OCI runtime create failed: .*nothing-here.* not found in \$PATH/,
      );
      await expect(tasks.get(ctx, "a")).rejects.toThrow("not found");
      await tasks.create(ctx, fixture.container("a", ["true"], { runtime: name }));
    }, 120_000);
  });
}

/** Opens and reads or writes a FIFO as another program would: it waits for the other end. */
const shell = (script: string, path: string): Promise<number> =>
  Bun.spawn(["/bin/sh", "-c", script, "sh", path]).exited;

describe.skipIf(missing !== undefined)(`tasks by our own shim${why}`, () => {
  test("input reaches the process; its end after the client closed and CloseIO", async () => {
    await using fixture = await RuntimeFixture.open();
    const tasks = fixture.manager();
    const { ctx } = fixture;
    const stdin = fixture.fifo("in");
    const stdout = fixture.fifo("out");
    using reader = new FifoReader(stdout);
    await tasks.create(ctx, { ...fixture.container("a", ["cat"]), stdin, stdout });
    await tasks.start(ctx, "a");
    const ended = tasks.wait(ctx, "a");
    {
      using writer = new FifoWriter(stdin);
      await writer.write("one\n");
    }
    expect(await reader.until((text) => text === "one\n")).toBe("one\n");
    expect((await tasks.get(ctx, "a")).status).toBe("running");
    {
      using writer = new FifoWriter(stdin);
      await writer.write("two\n");
      await tasks.closeIo(ctx, "a", "", true);
    }
    expect((await ended).exitStatus).toBe(0);
    expect(await reader.until()).toBe("one\ntwo\n");
  }, 120_000);

  test("a task that is being created is waited for: input that is over before the create is answered gets its end", async () => {
    await using fixture = await RuntimeFixture.open();
    const tasks = fixture.manager();
    const { ctx } = fixture;
    const stdin = fixture.fifo("in");
    const stdout = fixture.fifo("out");
    using reader = new FifoReader(stdout);
    const created = tasks.create(ctx, { ...fixture.container("a", ["cat"]), stdin, stdout });
    await shell('echo one >"$1"', stdin);
    expect((await tasks.get(ctx, "a")).status).toBe("created");
    await tasks.closeIo(ctx, "a", "", true);
    await created;
    const ended = tasks.wait(ctx, "a");
    await tasks.start(ctx, "a");
    expect(await reader.until()).toBe("one\n");
    expect((await ended).exitStatus).toBe(0);

    const failing = tasks.create(ctx, fixture.container("b", ["nothing-here"]));
    await expect(tasks.get(ctx, "b")).rejects.toThrow("task b not found");
    await expect(failing).rejects.toThrow("nothing-here");
  }, 120_000);

  test("a hook of the OCI runtime that asks for the task which waits for it is told that there is none", async () => {
    await using fixture = await RuntimeFixture.open();
    const tasks = fixture.manager({ creationWait: 50 });
    const { ctx } = fixture;
    const [begun, over] = [fixture.fifo("begun"), fixture.fifo("over")];
    const hook = { path: "/bin/busybox", args: ["sh", "-c", `echo >${begun}; read line <${over}`] };
    const spec = (given: Spec): Spec => ({ ...given, hooks: { createRuntime: [hook] } });
    const created = tasks.create(ctx, fixture.container("a", ["true"], { spec }));
    await shell('read line <"$1"', begun);
    await expect(tasks.get(ctx, "a")).rejects.toThrow("task a not found");
    await shell('echo >"$1"', over);
    await created;
    expect((await tasks.get(ctx, "a")).status).toBe("created");
  }, 120_000);

  test("a terminal is copied both ways and resized", async () => {
    await using fixture = await RuntimeFixture.open();
    const tasks = fixture.manager();
    const { ctx } = fixture;
    const stdin = fixture.fifo("in");
    const stdout = fixture.fifo("out");
    using reader = new FifoReader(stdout);
    const terminal = (spec: object) => ({
      ...spec,
      process: { ...("process" in spec ? (spec.process as object) : {}), terminal: true },
    });
    await tasks.create(ctx, {
      ...fixture.container("a", ["sh"], { spec: (spec) => terminal(spec) as typeof spec }),
      stdin,
      stdout,
      terminal: true,
    });
    await tasks.resizePty(ctx, "a", "", 91, 33);
    await tasks.start(ctx, "a");
    const ended = tasks.wait(ctx, "a");
    using writer = new FifoWriter(stdin);
    await writer.write("stty size; exit 4\n");
    expect((await ended).exitStatus).toBe(4);
    expect(await reader.until()).toContain("33 91\r\n");
    await tasks.delete(ctx, "a");
  }, 120_000);

  test("100 MB of output arrive intact", async () => {
    await using fixture = await RuntimeFixture.open();
    const tasks = fixture.manager();
    const { ctx } = fixture;
    const stdout = fixture.fifo("out");
    using reader = new FifoReader(stdout);
    await tasks.create(ctx, { ...fixture.container("a", ["dd", "if=/dev/zero", "bs=1M", "count=100"]), stdout });
    await tasks.start(ctx, "a");
    const hash = new Bun.CryptoHasher("sha256").update(new Uint8Array(100 << 20)).digest("hex");
    expect(await reader.digest()).toEqual({ bytes: 100 << 20, hash });
  }, 120_000);

  test("output waits for a reader who comes after the end", async () => {
    await using fixture = await RuntimeFixture.open();
    const tasks = fixture.manager();
    const { ctx } = fixture;
    const stdout = fixture.fifo("out");
    await tasks.create(ctx, { ...fixture.container("a", ["echo", "late"]), stdout });
    const ended = tasks.wait(ctx, "a");
    await tasks.start(ctx, "a");
    await ended;
    using reader = new FifoReader(stdout);
    expect(await reader.until((text) => text.endsWith("\n"))).toBe("late\n");
    await tasks.delete(ctx, "a");
    expect(await reader.until()).toBe("late\n");
  }, 120_000);

  test("pause, resume, pids, stats, update", async () => {
    await using fixture = await RuntimeFixture.open();
    const tasks = fixture.manager();
    const { ctx } = fixture;
    const { pid } = await tasks.create(ctx, fixture.container("a", ["sleep", "1000"]));
    await tasks.start(ctx, "a");
    await tasks.pause(ctx, "a");
    expect((await tasks.get(ctx, "a")).status).toBe("paused");
    await tasks.resume(ctx, "a");
    expect((await tasks.get(ctx, "a")).status).toBe("running");
    expect((await tasks.pids(ctx, "a")).map((process) => process.pid)).toEqual([pid]);
    expect((await tasks.stats(ctx, "a")).typeUrl).toMatch(/^io\.containerd\.cgroups\.v[12]\.Metrics$/);
    const value = new TextEncoder().encode(JSON.stringify({ memory: { limit: 64 << 20 } }));
    await tasks.update(
      ctx,
      "a",
      { typeUrl: "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources", value },
      {},
    );
  }, 120_000);

  test("a signal to all reaches every process, in whichever order they end", async () => {
    await using fixture = await RuntimeFixture.open();
    const tasks = fixture.manager();
    const { ctx } = fixture;
    await tasks.create(ctx, fixture.container("a", ["sh", "-c", "sleep 1000 & sleep 1000 & sleep 1000"]));
    await tasks.start(ctx, "a");
    for (const execId of ["x", "y"]) {
      await tasks.exec(ctx, {
        id: "a",
        execId,
        spec: processSpec(["sleep", "1000"]),
        terminal: false,
        stdin: "",
        stdout: "",
        stderr: "",
      });
      await tasks.start(ctx, "a", execId);
    }
    const ended = [undefined, "x", "y"].map((execId) => tasks.wait(ctx, "a", execId));
    await tasks.kill(ctx, "a", { signal: 9, all: true });
    for (const { exitStatus } of await Promise.all(ended)) expect(exitStatus).toBe(137);
    await tasks.delete(ctx, "a");
  }, 120_000);

  test("a process that ends while the runtime is told to kill it has finished, whatever the runtime says", async () => {
    await using fixture = await RuntimeFixture.open();
    const ociRuntime = join(fixture.directory, "runtime");
    const real = Bun.which(process.env[runtimeVariable] ?? "runc");
    const script = `#!/bin/sh
case " $* " in *" kill "*) ${real} "$@"; sleep 0.2; echo gone >&2; exit 128 ;; esac
exec ${real} "$@"
`;
    writeFileSync(ociRuntime, script, { mode: 0o755 });
    const tasks = fixture.manager({ ociRuntime });
    const { ctx } = fixture;
    await tasks.create(ctx, fixture.container("a", ["sleep", "1000"]));
    await tasks.start(ctx, "a");
    const ended = tasks.wait(ctx, "a");
    await tasks.kill(ctx, "a", { signal: 9, all: true });
    expect((await ended).exitStatus).toBe(137);
    await expect(tasks.kill(ctx, "a", { signal: 9, all: true })).rejects.toThrow("process already finished");
    await tasks.delete(ctx, "a");
  }, 120_000);

  test("control groups that the runtime gave up on, and forgot, are removed all the same", async () => {
    await using fixture = await RuntimeFixture.open();
    const tasks = fixture.manager({ ociRuntime: fixture.forgetful() });
    const { ctx } = fixture;
    const ownPids = (spec: Spec): Spec => ({
      ...spec,
      linux: { ...spec.linux, namespaces: (spec.linux.namespaces ?? []).filter(({ type }) => type !== "pid") },
    });
    // The runtime is asked only for what is more than removing a group and a record: its processes see the host's.
    await tasks.create(ctx, fixture.container("a", ["sleep", "1000"], { spec: ownPids }));
    await tasks.start(ctx, "a");
    expect(fixture.groupsOf("a")).not.toEqual([]);
    const ended = tasks.wait(ctx, "a");
    await tasks.kill(ctx, "a", { signal: 9 });
    await ended;
    await tasks.delete(ctx, "a");
    expect(fixture.groupsOf("a")).toEqual([]);
  }, 120_000);

  test("the containers of a pod share a shim, though no process stands for the pod", async () => {
    await using fixture = await RuntimeFixture.open();
    const tasks = fixture.manager();
    const { ctx } = fixture;
    const inPod = (spec: Spec): Spec => ({ ...spec, annotations: { "io.kubernetes.cri.sandbox-id": "pod" } });
    const names = ["a", "b", "c"];
    const create = (id: string, options: object) =>
      tasks.create(ctx, fixture.container(id, ["sleep", "1000"], options));
    const made = await Promise.all(names.map((id) => create(id, { spec: inPod, sandbox: "pod" })));
    const shims = made.map(({ pid }) => processStat(pid).parent);
    expect(new Set(shims).size).toBe(1);
    // What only says that it is in a sandbox, without a word in its spec, has to find one.
    await expect(create("d", { sandbox: "pod" })).rejects.toThrow("can't find shim for sandbox pod");
    for (const id of names) await tasks.delete(ctx, id);
    const { pid } = await create("e", { spec: inPod, sandbox: "pod" });
    expect(processStat(pid).parent).toBeGreaterThan(1);
  }, 120_000);

  test("after an exec that failed nothing is left that keeps the container from ending", async () => {
    await using fixture = await RuntimeFixture.open();
    const tasks = fixture.manager();
    const { ctx } = fixture;
    await tasks.create(ctx, fixture.container("a", ["sleep", "1000"]));
    await tasks.start(ctx, "a");
    const spec = processSpec(["nothing-here"]);
    await tasks.exec(ctx, { id: "a", execId: "x", spec, terminal: false, stdin: "", stdout: "", stderr: "" });
    await expect(tasks.start(ctx, "a", "x")).rejects.toThrow("nothing-here");
    const ended = tasks.wait(ctx, "a");
    await tasks.kill(ctx, "a", { signal: 9 });
    expect((await ended).exitStatus).toBe(137);
  }, 120_000);

  test("twenty at once", async () => {
    await using fixture = await RuntimeFixture.open();
    const tasks = fixture.manager({ spareShims: 2 });
    const { ctx } = fixture;
    const statuses = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const id = `c${index}`;
        await tasks.create(ctx, fixture.container(id, ["sh", "-c", `exit ${index}`]));
        const ended = tasks.wait(ctx, id);
        await tasks.start(ctx, id);
        const { exitStatus } = await ended;
        await tasks.delete(ctx, id);
        return exitStatus;
      }),
    );
    expect(statuses).toEqual(Array.from({ length: 20 }, (_, index) => index));
  }, 120_000);
});

function processSpec(args: string[]) {
  const spec = { args, cwd: "/", env: ["PATH=/bin"], user: { uid: 0, gid: 0 } };
  const value = new TextEncoder().encode(JSON.stringify(spec));
  return { typeUrl: "types.containerd.io/opencontainers/runtime-spec/1/Process", value };
}
