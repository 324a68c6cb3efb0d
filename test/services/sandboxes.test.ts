/**
 * Sandboxes: store and controller. Debian's containerd has neither, so the expectations are what containerd 2.1.9 was seen to answer, with
 * hull's own shim for the controller, since its own serves no sandboxes.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { SandboxExit } from "@hull/api/gen/containerd/events/sandbox";
import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { EventsDefinition } from "@hull/api/gen/containerd/services/events/v1/events";
import { ControllerDefinition, StoreDefinition } from "@hull/api/gen/containerd/services/sandbox/v1/sandbox";
import { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
import { type Client, connect } from "@hull/client/client";
import { HullError } from "@hull/errors";
import { processStat } from "@hull/sys/process";
import type { Daemon } from "../support/containerd.ts";
import { startHull } from "../support/hull.ts";
import { removeLeftovers } from "../support/leftovers.ts";
import { endOf } from "../support/process.ts";
import { type Scratch, scratch } from "../support/scratch.ts";

const skipped = process.getuid?.() !== 0 ? "needs root" : Bun.which("runc") === null ? "needs runc" : undefined;
const namespace = `test-${process.pid}-sandboxes`;
const spec = { typeUrl: "types.containerd.io/opencontainers/runtime-spec/1/Spec", value: Buffer.from("{}") };
const runtime = { name: "io.containerd.runc.v2" };
const sandboxer = "shim";

const record = (sandboxId: string) => ({ sandboxId, runtime, spec, sandboxer, labels: { a: "b" } });

describe.skipIf(skipped !== undefined)(`sandboxes${skipped === undefined ? "" : ` (${skipped})`}`, () => {
  const stack = new AsyncDisposableStack();
  let folder: Scratch;
  let daemon: Daemon;
  let client: Client;

  beforeAll(async () => {
    stack.defer(() => removeLeftovers(namespace));
    folder = stack.use(scratch());
    daemon = await startHull(folder.path, '[plugins."io.containerd.runtime.v2.task"]\noci_runtime = "runc"\n');
    client = await connect({ address: daemon.address, namespace });
    stack.defer(async () => {
      await client[Symbol.asyncDispose]();
      await daemon[Symbol.asyncDispose]();
    });
  });
  afterAll(() => stack.disposeAsync());

  const store = () => client.service(StoreDefinition);
  const controller = () => client.service(ControllerDefinition);
  const refusal = async (call: Promise<unknown>): Promise<string> => {
    try {
      return JSON.stringify(await call);
    } catch (error) {
      const { code, message } = HullError.from(error);
      return `${code}: ${message}`;
    }
  };
  const bundles = () => {
    const directory = `${daemon.state}/io.containerd.sandbox.controller.v1.shim/${namespace}`;
    // Those that are being removed begin with a dot.
    return existsSync(directory) ? readdirSync(directory).filter((name) => !name.startsWith(".")) : [];
  };

  test("the store answers as containerd's", async () => {
    const made = await store().create({ sandbox: record("stored") });
    const { createdAt: _, updatedAt: __, ...kept } = made.sandbox ?? {};
    const value = new Uint8Array(spec.value);
    expect(kept as unknown).toEqual({
      ...record("stored"),
      runtime: { ...runtime, options: undefined },
      spec: { ...spec, value },
      extensions: {},
    });
    expect((await store().get({ sandboxId: "stored" })).sandbox).toEqual(made.sandbox);
    const pattern = "^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$";
    const refused: readonly (readonly [Promise<unknown>, string])[] = [
      [
        store().create({ sandbox: record("stored") }),
        'alreadyExists: write error: sandbox bucket "stored" already exists',
      ],
      [
        store().create({ sandbox: record("a--b") }),
        `invalidArgument: failed to validate sandbox: invalid sandbox ID: identifier "a--b" must match ${pattern}`,
      ],
      [store().get({ sandboxId: "none" }), 'notFound: bucket "none" not found'],
      [store().update({ sandbox: record("none") }), 'notFound: bucket "none" not found'],
      [store().delete({ sandboxId: "none" }), 'notFound: failed to delete sandbox "none"'],
      [
        store().update({ sandbox: record("stored"), fields: ["sandboxer"] }),
        'invalidArgument: cannot update "sandboxer" field on sandbox "stored"',
      ],
      [
        store().update({ sandbox: { ...record("stored"), runtime: { name: "other" } } }),
        "invalidArgument: sandbox.Runtime.Name field is immutable",
      ],
    ];
    for (const [call, text] of refused) expect(await refusal(call)).toBe(text);
    const updated = await store().update({
      sandbox: { ...record("stored"), labels: { c: "d" } },
      fields: ["labels.c"],
    });
    expect(updated.sandbox?.labels).toEqual({ a: "b", c: "d" });
    expect((await store().list({ filters: ["labels.c==d"] })).list.map(({ sandboxId }) => sandboxId)).toEqual([
      "stored",
    ]);
    expect((await store().list({ filters: ["id==other"] })).list).toEqual([]);
    expect(await refusal(store().list({ filters: ["id="] }))).toBe(
      'invalidArgument: filters: parse error: [id >|=|< ]: unsupported operator "="',
    );
    await store().delete({ sandboxId: "stored" });
    expect((await store().list({})).list).toEqual([]);
  });

  test("a controller that is not there, and sandboxes that are not", async () => {
    const none = { sandboxId: "none", sandboxer };
    expect(await refusal(controller().create({ sandboxId: "none", sandboxer: "nope" }))).toBe(
      "notFound: failed to get sandbox controller by nope",
    );
    expect(await refusal(controller().create({ sandboxId: "none", sandboxer }))).toBe(
      'notFound: bucket "none" not found',
    );
    expect(await refusal(controller().start(none))).toBe('notFound: unable to find sandbox "none"');
    for (const call of ["platform", "wait", "shutdown", "metrics"] as const) {
      expect(await refusal(controller()[call](none))).toBe('notFound: sandbox "none"');
    }
    // One that is gone has stopped.
    await controller().stop(none);
    expect(await controller().status(none)).toMatchObject({ sandboxId: "none", pid: 0, state: "" });
    await controller().update({ ...none, sandbox: record("none"), fields: ["labels"] });
  });

  test("a sandbox's life, with its events", async () => {
    const topics: string[] = [];
    const stop = new AbortController();
    const watching = (async () => {
      try {
        const filters = [`namespace==${namespace}`];
        for await (const { topic, event } of client
          .service(EventsDefinition)
          .subscribe({ filters }, { signal: stop.signal })) {
          topics.push(
            topic === "/sandboxes/exit"
              ? `${topic} ${SandboxExit.decode(event?.value ?? spec.value).exitStatus}`
              : topic,
          );
          if (topic === "/sandboxes/exit") return;
        }
      } catch (error) {
        if (!stop.signal.aborted) throw error;
      }
    })();
    const life = { sandboxId: "life", sandboxer };
    expect(await controller().create({ ...life, sandbox: record("life") })).toEqual({ sandboxId: "life" });
    expect(await refusal(controller().create({ ...life, sandbox: record("life") }))).toBe(
      "alreadyExists: sandbox life already running",
    );
    expect(await controller().status(life)).toMatchObject({ state: "SANDBOX_NOTREADY", pid: 0 });
    const { pid, address, version } = await controller().start(life);
    expect(address).toStartWith("ttrpc+unix:///");
    expect(version).toBe(3);
    expect(await controller().status({ ...life, verbose: true })).toMatchObject({ state: "SANDBOX_READY", pid });
    expect((await controller().platform(life)).platform).toMatchObject({ os: "linux" });
    expect(await refusal(controller().metrics(life))).toStartWith("unimplemented: metrics of sandbox");
    const ended = controller().wait(life);
    await controller().stop({ ...life, timeoutSecs: 5 });
    expect(await ended).toMatchObject({ exitStatus: 0 });
    expect(await controller().status(life)).toMatchObject({ state: "SANDBOX_NOTREADY", pid: 0 });
    await controller().stop(life);
    expect(bundles()).toEqual(["life"]);
    await controller().shutdown(life);
    expect(bundles()).toEqual([]);
    expect(await refusal(controller().shutdown(life))).toBe('notFound: sandbox "life"');
    const timer = setTimeout(() => stop.abort(), 5000);
    await watching;
    clearTimeout(timer);
    expect(topics.filter((topic) => !topic.startsWith("/namespaces/"))).toEqual([
      "/sandboxes/create",
      "/sandboxes/start",
      "/sandboxes/exit 0",
    ]);
  });

  test("containers of a sandbox share its shim, end with it, and both are found again by the next daemon", async () => {
    const pod = { sandboxId: "pod", sandboxer };
    const tasks = () => client.service(TasksDefinition);
    await store().create({ sandbox: record("pod") });
    // A client that has stored it need not send it.
    await controller().create(pod);
    const { pid: shim } = await controller().start(pod);
    const rootfs = folder.join("rootfs");
    for (const name of ["bin", "proc"]) mkdirSync(join(rootfs, name), { recursive: true });
    copyFileSync("/bin/busybox", join(rootfs, "bin", "sleep"));
    const process = { args: ["sleep", "1000"], cwd: "/", user: { uid: 0, gid: 0 }, env: ["PATH=/bin"] };
    const container = {
      ociVersion: "1.0.2",
      process,
      root: { path: rootfs },
      mounts: [{ destination: "/proc", type: "proc", source: "proc" }],
      linux: { namespaces: [{ type: "pid" }, { type: "mount" }] },
    };
    for (const id of ["one", "two"]) {
      const value = Buffer.from(
        JSON.stringify({ ...container, linux: { ...container.linux, cgroupsPath: `/${namespace}/${id}` } }),
      );
      await client.service(ContainersDefinition).create({
        container: { id, runtime, spec: { ...spec, value }, sandbox: "pod" },
      });
      await tasks().create({ containerId: id });
      const { pid } = await tasks().start({ containerId: id });
      expect(processStat(pid).parent).toBe(shim);
    }
    await client.service(ContainersDefinition).create({ container: { id: "lost", runtime, spec, sandbox: "nowhere" } });
    expect(await refusal(tasks().create({ containerId: "lost" }))).toBe(
      "notFound: failed to start shim: can't find shim for sandbox nowhere",
    );

    await client[Symbol.asyncDispose]();
    await daemon.stop("SIGKILL");
    daemon = await startHull(folder.path, '[plugins."io.containerd.runtime.v2.task"]\noci_runtime = "runc"\n');
    client = await connect({ address: daemon.address, namespace });
    expect(await controller().status(pod)).toMatchObject({ state: "SANDBOX_READY", pid: shim });
    expect((await tasks().list({})).tasks.map(({ id }) => id).sort()).toEqual(["one", "two"]);

    const ended = controller().wait(pod);
    const exit = tasks().wait({ containerId: "one" });
    await controller().stop(pod);
    expect((await ended).exitStatus).toBe(0);
    expect((await exit).exitStatus).toBe(137);
    for (const containerId of ["one", "two"]) await tasks().delete({ containerId });
    await controller().shutdown(pod);
    expect(bundles()).toEqual([]);
    await endOf(shim);
  });

  test("a shim that dies takes its sandbox with it", async () => {
    const pod = { sandboxId: "dying", sandboxer };
    await controller().create({ ...pod, sandbox: record("dying") });
    const { pid } = await controller().start(pod);
    const ended = controller().wait(pod);
    // Answered behind the other: it waits by now.
    await controller().status(pod);
    process.kill(pid, "SIGKILL");
    expect((await ended).exitStatus).toBe(255);
    expect(await controller().status(pod)).toMatchObject({ state: "" });
    expect(bundles()).toEqual([]);
  });

  test("a runtime whose shim knows no sandboxes says so", async () => {
    if (!existsSync("/usr/bin/containerd-shim-runc-v2")) return;
    const other = { ...record("other"), runtime: { name: "/usr/bin/containerd-shim-runc-v2" } };
    expect(await refusal(controller().create({ sandboxId: "other", sandboxer, sandbox: other }))).toBe(
      "unimplemented: failed to create sandbox other: service containerd.runtime.sandbox.v1.Sandbox",
    );
    expect(bundles()).toEqual([]);
  });
});
