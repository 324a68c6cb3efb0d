import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import type { Spec } from "@hull/oci/spec";
import { kill, processStat } from "@hull/sys/process";
import { processEnd } from "@hull/sys/watch";
import { missing, RuntimeFixture } from "./fixture.ts";
import type { CreateTask } from "./index.ts";
import type { ShimTaskManager } from "./task-manager.ts";
import { criOutput } from "./task-streams.ts";

const why = missing === undefined ? "" : ` (${missing})`;

/** What makes the task of a pod's container. */
function podTask(fixture: RuntimeFixture, id: string, pod: string, args: string[], groupsPerShim = 2): CreateTask {
  const annotations = { "io.kubernetes.cri.sandbox-id": pod };
  const spec = (given: Spec): Spec => ({ ...given, annotations });
  return { ...fixture.container(id, args, { spec, sandbox: pod }), groupsPerShim };
}

/** Starts tasks, one after the other. @returns the pids of their shims */
async function run(tasks: ShimTaskManager, { ctx }: RuntimeFixture, ...requests: CreateTask[]): Promise<number[]> {
  const shims: number[] = [];
  for (const request of requests) {
    const { pid } = await tasks.create(ctx, request);
    shims.push(processStat(pid).parent);
    await tasks.start(ctx, request.id);
  }
  return shims;
}

async function end(tasks: ShimTaskManager, { ctx }: RuntimeFixture, id: string): Promise<number> {
  const ended = tasks.wait(ctx, id);
  await tasks.kill(ctx, id, { signal: 9 });
  const { exitStatus } = await ended;
  await tasks.delete(ctx, id);
  return exitStatus;
}

describe.skipIf(missing !== undefined)(`a shim of several pods${why}`, () => {
  const idle = ["sleep", "1000"];

  test("has as many as may be, whichever come at once, and room again when one has gone", async () => {
    await using fixture = await RuntimeFixture.open();
    const tasks = fixture.manager({ spareShims: 1 });
    const { ctx } = fixture;
    const pods = ["a", "b", "c", "d", "e"];
    const requests = pods.flatMap((pod) => [1, 2].map((number) => podTask(fixture, `${pod}${number}`, pod, idle)));
    const made = await Promise.all(requests.map((request) => tasks.create(ctx, request)));
    const shims = made.map(({ pid }) => processStat(pid).parent);
    for (let pod = 0; pod < pods.length; pod++) expect(shims[pod * 2]).toBe(shims[pod * 2 + 1]);
    expect(new Set(shims).size).toBe(3);
    await Promise.all(requests.map(({ id }) => tasks.start(ctx, id)));
    const [alone] = await run(tasks, fixture, podTask(fixture, "alone", "alone", idle, 1));
    expect(shims).not.toContain(alone);
    expect(await end(tasks, fixture, "a1")).toBe(137);
    expect(await end(tasks, fixture, "a2")).toBe(137);
    const partner = shims.indexOf(shims[0] ?? 0, 2);
    expect((await tasks.get(ctx, requests[partner]?.id ?? "")).status).toBe("running");
    const comes = [podTask(fixture, "f", "f", idle), podTask(fixture, "g", "g", idle)];
    // One has room because it has one pod, one because a pod has gone.
    for (const shim of await run(tasks, fixture, ...comes)) expect(shims).toContain(shim);
    expect((await tasks.list(ctx)).length).toBe(11);
  }, 120_000);

  test("goes on for the others when one can't be made, or started, or is killed for want of memory", async () => {
    await using fixture = await RuntimeFixture.open();
    const tasks = fixture.manager();
    const { ctx } = fixture;
    const [shim] = await run(tasks, fixture, podTask(fixture, "stays", "stays", idle));
    const broken = podTask(fixture, "broken", "broken", ["nothing-here"]);
    await expect(tasks.create(ctx, broken)).rejects.toThrow("nothing-here");
    const nowhere = { ...podTask(fixture, "nowhere", "nowhere", idle), stdout: "elsewhere:///log" };
    await expect(tasks.create(ctx, nowhere)).rejects.toThrow("unknown STDIO scheme");
    const rootless = { ...podTask(fixture, "rootless", "rootless", idle) };
    const source = join(fixture.directory, "missing");
    const rootfs = [{ type: "bind", source, target: "", options: ["rbind"] }];
    await expect(tasks.create(ctx, { ...rootless, rootfs })).rejects.toThrow();
    const greedy = podTask(fixture, "greedy", "greedy", ["sh", "-c", "x=xxxxxxxx; while :; do x=$x$x; done"]);
    const limited = await fixture.options.containers.get(ctx, "greedy");
    const spec = JSON.parse(new TextDecoder().decode(limited.spec.value)) as Spec;
    const resources = { ...spec.linux?.resources, memory: { limit: 16 * 1024 * 1024, swap: 16 * 1024 * 1024 } };
    const value = new TextEncoder().encode(JSON.stringify({ ...spec, linux: { ...spec.linux, resources } }));
    Object.assign(limited.spec, { value });
    const created = await tasks.create(ctx, greedy);
    expect(processStat(created.pid).parent).toBe(shim ?? 0);
    const ended = tasks.wait(ctx, "greedy");
    await tasks.start(ctx, "greedy");
    expect((await ended).exitStatus).toBe(137);
    await tasks.delete(ctx, "greedy");
    expect((await tasks.get(ctx, "stays")).status).toBe("running");
    const outOfMemory = fixture.events.filter(({ topic }) => topic === "/tasks/oom");
    expect(outOfMemory.length).toBeGreaterThan(0);
    for (const { event } of outOfMemory) expect(new TextDecoder().decode(event?.value)).toContain("greedy");
    expect(await end(tasks, fixture, "stays")).toBe(137);
  }, 120_000);

  test("tells the end of one while the other never stops writing", async () => {
    await using fixture = await RuntimeFixture.open();
    const tasks = fixture.manager();
    const { ctx } = fixture;
    const output = criOutput("", 16384);
    const flood = podTask(fixture, "flood", "flood", [
      "sh",
      "-c",
      "while :; do seq 100000; done & while :; do seq 100000 >&2; done",
    ]);
    const [shim] = await run(tasks, fixture, { ...flood, stdout: output, stderr: output });
    for (const status of [3, 4, 5]) {
      const id = `ends-${status}`;
      const [other] = await run(tasks, fixture, podTask(fixture, id, id, ["sh", "-c", `sleep 0.1; exit ${status}`]));
      expect(other).toBe(shim as number);
      expect((await tasks.wait(ctx, id)).exitStatus).toBe(status);
      await tasks.delete(ctx, id);
    }
    expect((await tasks.get(ctx, "flood")).status).toBe("running");
    expect(await end(tasks, fixture, "flood")).toBe(137);
  }, 120_000);

  test("belongs to none of them: the directories of the first may go", async () => {
    await using fixture = await RuntimeFixture.open();
    const tasks = fixture.manager();
    const { ctx } = fixture;
    const [shim = 0] = await run(
      tasks,
      fixture,
      podTask(fixture, "first", "first", idle),
      podTask(fixture, "second", "second", idle),
    );
    await end(tasks, fixture, "first");
    const { directories } = fixture.options;
    const bundle = join(directories.state, "io.containerd.runtime.v2.task", fixture.namespace, "first");
    expect(existsSync(bundle)).toBe(false);
    expect(readlinkSync(`/proc/${shim}/cwd`)).toBe("/");
    expect(readlinkSync(`/proc/${shim}/ns/mnt`)).toBe(readlinkSync("/proc/self/ns/mnt"));
    const files = readdirSync(`/proc/${shim}/fd`).map((fd) => readlinkSync(`/proc/${shim}/fd/${fd}`));
    expect(files.filter((file) => file.includes("first") || file.includes("(deleted)"))).toEqual([]);
    const value = new TextEncoder().encode(JSON.stringify({ args: ["true"], cwd: "/", env: ["PATH=/bin"], user: {} }));
    const spec = { typeUrl: "types.containerd.io/opencontainers/runtime-spec/1/Process", value };
    await tasks.exec(ctx, { id: "second", execId: "e", terminal: false, stdin: "", stdout: "", stderr: "", spec });
    const over = tasks.wait(ctx, "second", "e");
    await tasks.start(ctx, "second", "e");
    expect((await over).exitStatus).toBe(0);
    // With the last it goes: no spares are kept here.
    const gone = processEnd(shim);
    await end(tasks, fixture, "second");
    await gone;
  }, 120_000);

  test("when it dies the containers of all are ended, and told of; what comes then has another", async () => {
    await using fixture = await RuntimeFixture.open();
    const tasks = fixture.manager();
    const { ctx } = fixture;
    const [shim = 0] = await run(
      tasks,
      fixture,
      podTask(fixture, "a", "a", idle),
      podTask(fixture, "b", "b", idle),
      podTask(fixture, "c", "c", idle),
    );
    const waiting = ["a", "b"].map((id) => tasks.wait(ctx, id));
    kill(shim, "SIGKILL");
    for (const { exitStatus } of await Promise.all(waiting)) expect(exitStatus).toBe(137);
    expect((await tasks.list(ctx)).map(({ id }) => id)).toEqual(["c"]);
    const [other] = await run(tasks, fixture, podTask(fixture, "a", "a", idle));
    expect(other).not.toBe(shim);
  }, 120_000);
});
