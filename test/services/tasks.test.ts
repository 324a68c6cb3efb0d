import { copyFileSync, existsSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
import type { Client } from "@hull/client/client";
import { comparedService, type Server, type ServicePair } from "../support/services.ts";

const tasks = (client: Client) => client.service(TasksDefinition);
const specType = "types.containerd.io/opencontainers/runtime-spec/1/Spec";
const processType = "types.containerd.io/opencontainers/runtime-spec/1/Process";
const json = (typeUrl: string, value: unknown) => ({ typeUrl, value: Buffer.from(JSON.stringify(value)) });
const runtime = { name: "io.containerd.runc.v2" };

const processOf = (...args: string[]) => ({ args, cwd: "/", user: { uid: 0, gid: 0 }, env: ["PATH=/bin"] });

/** A root file system of its own for each side: no image is needed. @returns its path */
function rootfsOf({ side }: Server): string {
  const root = join(side.folder, "rootfs");
  if (existsSync(root)) return root;
  for (const name of ["bin", "proc"]) mkdirSync(join(root, name), { recursive: true });
  copyFileSync("/bin/busybox", join(root, "bin", "busybox"));
  for (const name of ["sh", "sleep", "true"]) symlinkSync("busybox", join(root, "bin", name));
  return root;
}

const specOf = (server: Server, id: string, ...args: string[]) =>
  json(specType, {
    ociVersion: "1.0.2",
    process: processOf(...args),
    root: { path: rootfsOf(server) },
    mounts: [{ destination: "/proc", type: "proc", source: "proc" }],
    linux: { namespaces: [{ type: "pid" }, { type: "mount" }], cgroupsPath: `/${server.side.namespace}/${id}` },
  });

const make = (pair: ServicePair, id: string, ...args: string[]): Promise<void> =>
  pair.each((client, server) =>
    client.service(ContainersDefinition).create({ container: { id, runtime, spec: specOf(server, id, ...args) } }),
  );

/**
 * What a process's state forbids. The shim of containerd says it without a kind, which its clients get as Unknown; its API's documentation, and
 * hull, call it a failed precondition.
 */
const refused = (what: string) => ({ own: `failedPrecondition: cannot ${what} process` });

/** Events of tasks come from their shims. */
const late = { lateMs: 500 };

comparedService("tasks", (test) => {
  test("a task's life, with its events", async (pair) => {
    const { same } = pair;
    await make(pair, "life", "sleep", "1000");
    await pair.sameEvents(async () => {
      const it = { containerId: "life" };
      await same("create", (client) => tasks(client).create(it));
      await same("again", (client) => tasks(client).create(it));
      await same("get", (client) => tasks(client).get(it));
      await same("delete one that is created, of another name", (client) =>
        tasks(client).delete({ containerId: "none" }),
      );
      await same("start", (client) => tasks(client).start(it));
      await same("start again", (client) => tasks(client).start(it), refused("start a running"));
      await same("get", (client) => tasks(client).get(it));
      await same("list", (client) => tasks(client).list({}));
      await same("list by a filter, which nobody reads", (client) => tasks(client).list({ filter: "id==none" }));
      await same("pids", (client) => tasks(client).listPids(it));
      await same("delete", (client) => tasks(client).delete(it), refused("delete a running"));
      await same("pause", (client) => tasks(client).pause(it));
      await same("paused", (client) => tasks(client).get(it));
      await same("pause again", (client) => tasks(client).pause(it));
      await same("resume", (client) => tasks(client).resume(it));
      await same("resume again", (client) => tasks(client).resume(it));
      await same("close input", (client) => tasks(client).closeIO({ ...it, stdin: true }));
      await same("update nothing", (client) =>
        tasks(client).update({
          ...it,
          resources: json("types.containerd.io/opencontainers/runtime-spec/1/LinuxResources", {}),
        }),
      );
      await same("a signal that does nothing", (client) => tasks(client).kill({ ...it, signal: 0 }));
      await same("kill", async (client) => {
        const ended = tasks(client).wait(it);
        await tasks(client).kill({ ...it, signal: 9 });
        return await ended;
      });
      await same("get", (client) => tasks(client).get(it));
      await same("kill again", (client) => tasks(client).kill({ ...it, signal: 9 }));
      await same("wait again", (client) => tasks(client).wait(it));
      await same("start a stopped one", (client) => tasks(client).start(it), refused("start a stopped"));
      await same("delete", (client) => tasks(client).delete(it));
      await same("delete again", (client) => tasks(client).delete(it));
    }, late);
  });

  test("an exec's life, with its events", async (pair) => {
    const { same } = pair;
    await make(pair, "execs", "sleep", "1000");
    const it = { containerId: "execs" };
    await pair.sameEvents(async () => {
      await pair.each(async (client) => {
        await tasks(client).create(it);
        await tasks(client).start(it);
      });
      const exec = { ...it, execId: "one" };
      const spec = json(processType, processOf("sleep", "1000"));
      await same("exec", (client) => tasks(client).exec({ ...exec, spec }));
      await same("again", (client) => tasks(client).exec({ ...exec, spec }));
      await same("without an id", (client) => tasks(client).exec({ ...it, spec }));
      await same("with a bad id", (client) => tasks(client).exec({ ...it, execId: "a--b", spec }));
      await same("get", (client) => tasks(client).get(exec));
      await same("get none", (client) => tasks(client).get({ ...it, execId: "none" }));
      await same("start", (client) => tasks(client).start(exec));
      await same("get", (client) => tasks(client).get(exec));
      await same("delete", (client) => tasks(client).deleteProcess(exec), refused("delete a running"));
      // containerd takes that for the task itself.
      await same("delete without an id", (client) => tasks(client).deleteProcess(it), {
        own: 'invalidArgument: the exec id of a process of task "execs" is empty',
      });
      await same("kill", async (client) => {
        const ended = tasks(client).wait(exec);
        await tasks(client).kill({ ...exec, signal: 15 });
        return await ended;
      });
      await same("delete", (client) => tasks(client).deleteProcess(exec));
      await same("delete again", (client) => tasks(client).deleteProcess(exec));
      await same("one that ends by itself", async (client) => {
        const two = { ...it, execId: "two" };
        await tasks(client).exec({ ...two, spec: json(processType, processOf("sh", "-c", "exit 7")) });
        const ended = tasks(client).wait(two);
        await tasks(client).start(two);
        await ended;
        return await tasks(client).deleteProcess(two);
      });
    }, late);
    await pair.each(async (client) => {
      const ended = tasks(client).wait(it);
      await tasks(client).kill({ ...it, signal: 9 });
      await ended;
    });
    await same("exec after the end", (client) =>
      tasks(client).exec({ ...it, execId: "late", spec: json(processType, processOf("true")) }),
    );
    await pair.each((client) => tasks(client).delete(it));
  });

  test("a task that ends by itself, in order", async (pair) => {
    await make(pair, "ends", "sh", "-c", "exit 3");
    const it = { containerId: "ends" };
    await pair.sameEvents(async () => {
      await pair.same("run", async (client) => {
        await tasks(client).create(it);
        const ended = tasks(client).wait(it);
        await tasks(client).start(it);
        return [await ended, await tasks(client).delete(it)];
      });
    }, late);
  });

  test("what is not there", async (pair) => {
    const { same } = pair;
    await make(pair, "idle", "true");
    for (const containerId of ["none", "", "idle"]) {
      const it = { containerId };
      const named = `of "${containerId}"`;
      if (containerId !== "idle") await same(`create ${named}`, (client) => tasks(client).create(it));
      await same(`start ${named}`, (client) => tasks(client).start(it));
      await same(`get ${named}`, (client) => tasks(client).get(it));
      await same(`delete ${named}`, (client) => tasks(client).delete(it));
      await same(`kill ${named}`, (client) => tasks(client).kill({ ...it, signal: 9 }));
      await same(`pause ${named}`, (client) => tasks(client).pause(it));
      await same(`resume ${named}`, (client) => tasks(client).resume(it));
      await same(`pids ${named}`, (client) => tasks(client).listPids(it));
      await same(`wait ${named}`, (client) => tasks(client).wait(it));
      await same(`resize ${named}`, (client) => tasks(client).resizePty({ ...it, width: 1, height: 1 }));
      await same(`close input ${named}`, (client) => tasks(client).closeIO({ ...it, stdin: true }));
      await same(`update ${named}`, (client) => tasks(client).update({ ...it, resources: json("x", {}) }));
    }
    await same("list", (client) => tasks(client).list({}));
    await same("list elsewhere", (client) => tasks(client.withNamespace("other")).list({}));
    await same("metrics of none", (client) => tasks(client).metrics({}));
    for (const namespace of ["", "bad--name"]) {
      const inIt = (client: Client) => tasks(client.withNamespace(namespace));
      await same(`get in "${namespace}"`, (client) => inIt(client).get({ containerId: "a" }));
      await same(`list in "${namespace}"`, (client) => inIt(client).list({}));
      await same(`create in "${namespace}"`, (client) => inIt(client).create({ containerId: "a" }));
    }
  });
});
