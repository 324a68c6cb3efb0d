import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Spec } from "@hull/oci/spec";
import { kill, processStat } from "@hull/sys/process";
import { processEnd } from "@hull/sys/watch";
import { FifoReader, missing, RuntimeFixture } from "./fixture.ts";
import type { CreateTask } from "./index.ts";
import type { CrashInput } from "./restart.fixture.ts";

const why = missing === undefined ? "" : ` (${missing})`;
const debianShim = Bun.which("containerd-shim-runc-v2");

/** Has another process make and start the tasks, and kills it. */
async function startAndCrash(fixture: RuntimeFixture, requests: CreateTask[]): Promise<void> {
  const { directories, daemon, shimCommand, ociRuntime, containers } = fixture.options;
  const tasks = await Promise.all(
    requests.map(async (request) => {
      const { runtime, spec } = await containers.get(fixture.ctx, request.id);
      return { request, runtime: runtime.name, spec: new TextDecoder().decode(spec.value) };
    }),
  );
  const input: CrashInput = {
    namespace: fixture.namespace,
    options: { directories, daemon, shimCommand, ociRuntime },
    tasks,
  };
  const script = fileURLToPath(new URL("./restart.fixture.ts", import.meta.url));
  const child = Bun.spawn([process.execPath, script], {
    stdio: [new TextEncoder().encode(JSON.stringify(input)), "pipe", "inherit"],
  });
  const { value } = await child.stdout.getReader().read();
  expect(new TextDecoder().decode(value)).toBe("started\n");
  child.kill("SIGKILL");
  await child.exited;
}

for (const runtime of ["io.containerd.runc.v2", debianShim]) {
  describe.skipIf(missing !== undefined || runtime === null)(
    `restart, ${runtime ?? "containerd-shim-runc-v2 (not installed)"}${why}`,
    () => {
      const name = runtime ?? "";

      test("after kill -9 of the daemon tasks go on, and one that ended meanwhile has its true status", async () => {
        await using fixture = await RuntimeFixture.open();
        const { ctx } = fixture;
        const running = fixture.container("running", ["sleep", "1000"], { runtime: name });
        const ended = fixture.container("ended", ["sh", "-c", "sleep 0.3; exit 9"], { runtime: name });
        await startAndCrash(fixture, [running, ended]);
        const bundles = join(fixture.options.directories.state, "io.containerd.runtime.v2.task", fixture.namespace);
        const pid = readFileSync(join(bundles, "ended", "init.pid"), "utf8");
        while (existsSync(`/proc/${pid}`)) await Bun.sleep(20);
        const tasks = fixture.manager();
        await tasks.load();
        const states = (await tasks.list(ctx)).map(({ id, status, exitStatus }) => ({ id, status, exitStatus }));
        expect(states.sort((a, b) => a.id.localeCompare(b.id))).toEqual([
          { id: "ended", status: "stopped", exitStatus: 9 },
          { id: "running", status: "running", exitStatus: 0 },
        ]);
        expect((await tasks.wait(ctx, "ended")).exitStatus).toBe(9);
        expect(await tasks.delete(ctx, "ended")).toMatchObject({ exitStatus: 9 });
        const stdout = fixture.fifo("out");
        using reader = new FifoReader(stdout);
        const value = new TextEncoder().encode(
          JSON.stringify({ args: ["echo", "back"], cwd: "/", env: ["PATH=/bin"], user: {} }),
        );
        const spec = { typeUrl: "types.containerd.io/opencontainers/runtime-spec/1/Process", value };
        await tasks.exec(ctx, { id: "running", execId: "e", terminal: false, stdin: "", stdout, stderr: stdout, spec });
        const over = tasks.wait(ctx, "running", "e");
        await tasks.start(ctx, "running", "e");
        expect((await over).exitStatus).toBe(0);
        expect(await reader.until()).toBe("back\n");
        await tasks.deleteProcess(ctx, "running", "e");
        const exit = tasks.wait(ctx, "running");
        await tasks.kill(ctx, "running", { signal: 15 });
        await tasks.kill(ctx, "running", { signal: 9 });
        expect((await exit).exitStatus).toBe(137);
        await tasks.delete(ctx, "running");
        expect(await tasks.list(ctx)).toEqual([]);
      }, 120_000);

      test("when a shim dies its container is ended, and exit and deletion are told", async () => {
        await using fixture = await RuntimeFixture.open();
        const { ctx } = fixture;
        const tasks = fixture.manager();
        const { pid } = await tasks.create(ctx, fixture.container("a", ["sleep", "1000"], { runtime: name }));
        await tasks.start(ctx, "a");
        const waiting = tasks.wait(ctx, "a");
        kill(shimOf(pid), "SIGKILL");
        expect((await waiting).exitStatus).toBe(137);
        expect(await tasks.list(ctx)).toEqual([]);
        expect(isAlive(pid)).toBe(false);
        expect(fixture.topics().slice(-2)).toEqual(["/tasks/exit", "/tasks/delete"]);
        await tasks.create(ctx, fixture.container("a", ["true"], { runtime: name }));
      }, 120_000);
    },
  );
}

describe.skipIf(missing !== undefined)(`restart${why}`, () => {
  test("a shim of several pods is found with all of them, takes another, and ends with the last", async () => {
    await using fixture = await RuntimeFixture.open();
    const { ctx } = fixture;
    const podTask = (id: string, groupsPerShim = 3): CreateTask => {
      const annotations = { "io.kubernetes.cri.sandbox-id": `pod-${id}` };
      const spec = (given: Spec): Spec => ({ ...given, annotations });
      return { ...fixture.container(id, ["sleep", "1000"], { spec }), groupsPerShim };
    };
    await startAndCrash(fixture, [podTask("a"), podTask("b"), podTask("alone", 1)]);
    const tasks = fixture.manager();
    await tasks.load();
    const shims = new Map((await tasks.list(ctx)).map(({ id, pid }) => [id, shimOf(pid)]));
    const shim = shims.get("a") ?? 0;
    expect(shims.get("b")).toBe(shim);
    expect(shims.get("alone")).not.toBe(shim);
    const end = async (id: string): Promise<void> => {
      const exit = tasks.wait(ctx, id);
      await tasks.kill(ctx, id, { signal: 9 });
      await exit;
      await tasks.delete(ctx, id);
    };
    await end("a");
    for (const id of ["c", "d"]) expect(shimOf((await tasks.create(ctx, podTask(id))).pid)).toBe(shim);
    expect(shimOf((await tasks.create(ctx, podTask("e"))).pid)).not.toBe(shim);
    const gone = processEnd(shim);
    for (const id of ["b", "c"]) await end(id);
    expect(isAlive(shim)).toBe(true);
    await end("d");
    await gone;
  }, 120_000);

  test("when a shim dies, control groups that the runtime gave up on, and forgot, are removed all the same", async () => {
    await using fixture = await RuntimeFixture.open();
    const { ctx } = fixture;
    const tasks = fixture.manager({ ociRuntime: fixture.forgetful() });
    const { pid } = await tasks.create(ctx, fixture.container("a", ["sleep", "1000"]));
    await tasks.start(ctx, "a");
    expect(fixture.groupsOf("a")).not.toEqual([]);
    const ended = tasks.wait(ctx, "a");
    kill(shimOf(pid), "SIGKILL");
    await ended;
    expect(fixture.groupsOf("a")).toEqual([]);
  }, 120_000);

  test("bundles without a shim are cleaned up", async () => {
    await using fixture = await RuntimeFixture.open();
    const { directories } = fixture.options;
    const namespace = join(directories.state, "io.containerd.runtime.v2.task", fixture.namespace);
    for (const name of ["empty", ".half-deleted/rootfs", "stale/rootfs"])
      mkdirSync(join(namespace, name), { recursive: true });
    const tasks = fixture.manager();
    await tasks.load();
    expect(await Array.fromAsync(new Bun.Glob("**").scan({ cwd: namespace, onlyFiles: false, dot: true }))).toEqual([]);
  }, 120_000);
});

function shimOf(pid: number): number {
  return processStat(pid).parent;
}

/** A zombie is dead: whoever inherited it takes its time. */
function isAlive(pid: number): boolean {
  try {
    return processStat(pid).state !== "Z";
  } catch {
    return false;
  }
}
