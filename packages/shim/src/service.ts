/** The Task service: translates requests for the containers of this shim. Its two versions differ in their name alone. */

import { CheckpointOptions, ProcessDetails } from "@hull/api/gen/containerd/runc/v1/options";
import { TaskDefinition } from "@hull/api/gen/containerd/task/v3/task";
import type { ServiceImplementation } from "@hull/api/rpc";
import { timestampOfNanos } from "@hull/api/timestamp";
import { alreadyExists, invalidArgument, notFound } from "@hull/errors";
import { chooseRuntime } from "./bundle.ts";
import { cgroupPaths, mainDirectory, processesOf } from "./cgroup.ts";
import type { Children } from "./children.ts";
import { Container } from "./container.ts";
import type { TaskEvents } from "./events.ts";
import { beginAnew } from "./idle.ts";
import { ShimCgroup } from "./shim-cgroup.ts";

/** What the service needs of the process that it runs in. */
export interface ShimProcess {
  readonly children: Children;
  /** The containers that the process keeps, by their ids. */
  readonly containers: Map<string, Container>;
  /** Whom the process works for now; waits until a spare has been assigned. */
  identity(): Promise<{ namespace: string; events: TaskEvents }>;
  /** A daemon has connected anew: events that wait can be delivered. */
  reconnected(): void;
  /** Ends the process after the answer. */
  exit(): void;
  /** Told when a container is on its way, and when none is left. */
  occupied(now: boolean): void;
}

/** Version 2 of the service, which older daemons call. */
export const taskDefinitionV2 = { ...TaskDefinition, fullName: "containerd.task.v2.Task" } as const;

/** The handlers, for both versions. */
export function taskService(shim: ShimProcess): ServiceImplementation<typeof TaskDefinition> {
  const { containers } = shim;
  /** Those whose creation is on its way, by their ids. */
  const creating = new Map<string, Promise<Container>>();
  const find = (id: string): Container => {
    const container = containers.get(id);
    if (container === undefined) throw notFound(`container not created "${id}"`);
    return container;
  };
  const isIdle = (): boolean => containers.size === 0 && creating.size === 0;
  const cgroup = new ShimCgroup();
  const rest = (): void => {
    cgroup.leave();
    shim.occupied(false);
  };
  return {
    async create({ id, bundle, rootfs, terminal, stdin, stdout, stderr, checkpoint, parentCheckpoint, options }) {
      if (containers.has(id) || creating.has(id)) throw alreadyExists(`container "${id}"`);
      const container = (async () => {
        const { namespace, events } = await shim.identity();
        const runtime = chooseRuntime(namespace, options);
        const streams = { terminal, stdin, stdout, stderr };
        const request = { id, bundle, rootfs, ...streams, runtime, namespace, checkpoint, parentCheckpoint };
        if (runtime.options.shimCgroup !== "") cgroup.join(runtime.options.shimCgroup);
        return await Container.create(request, shim.children, events);
      })();
      creating.set(id, container);
      beginAnew();
      shim.occupied(true);
      try {
        containers.set(id, await container);
        return { pid: (await container).init.pid };
      } finally {
        creating.delete(id);
        if (isIdle()) rest();
      }
    },
    async start({ id, execId }) {
      return { pid: await find(id).start(execId) };
    },
    async delete({ id, execId }) {
      const { pid, exit } = await find(id).delete(execId);
      if (execId === "") containers.delete(id);
      if (isIdle()) rest();
      return { pid, exitStatus: exit?.status ?? 0, exitedAt: timestampOfNanos(exit?.at) };
    },
    async exec({ id, execId, terminal, stdin, stdout, stderr, spec }) {
      if (spec === undefined) throw invalidArgument(`exec "${execId}" has no process spec`);
      find(id).exec(execId, { terminal, stdin, stdout, stderr }, spec.value);
      return {};
    },
    async state({ id, execId }) {
      const container = find(id);
      const process = container.process(execId);
      const { stdin, stdout, stderr, terminal } = process.request;
      return {
        id: execId === "" ? id : execId,
        bundle: container.bundle,
        pid: process.pid,
        status: process.wireStatus,
        stdin,
        stdout,
        stderr,
        terminal,
        exitStatus: process.exit?.status ?? 0,
        exitedAt: timestampOfNanos(process.exit?.at),
        execId,
      };
    },
    async wait({ id, execId }) {
      const exit = await find(id).process(execId).ended;
      return { exitStatus: exit.status, exitedAt: timestampOfNanos(exit.at) };
    },
    async kill({ id, execId, signal, all }) {
      await find(id).kill(execId, signal, all);
      return {};
    },
    async pause({ id }) {
      await find(id).pause();
      return {};
    },
    async resume({ id }) {
      await find(id).resume();
      return {};
    },
    async resizePty({ id, execId, width, height }) {
      find(id).resize(execId, width, height);
      return {};
    },
    async closeIO({ id, execId, stdin }) {
      if (stdin) find(id).closeStdin(execId);
      return {};
    },
    async update({ id, resources }) {
      if (resources === undefined) throw invalidArgument(`update of container "${id}" has no resources`);
      await find(id).update(resources.value);
      return {};
    },
    async pids({ id }) {
      const container = find(id);
      const directory = mainDirectory(cgroupPaths(container.cgroup));
      const execs = container.execPids;
      const pids = directory === undefined ? [container.init.pid] : processesOf(directory);
      return { processes: pids.map((pid) => ({ pid, info: processInfo(execs.get(pid)) })) };
    },
    async stats({ id }) {
      return { stats: await find(id).statistics() };
    },
    async checkpoint({ id, path, options }) {
      await find(id).checkpoint(path, checkpointOptions(options));
      return {};
    },
    async connect({ id }) {
      shim.reconnected();
      // Its daemon went while it was made: it is to be found all the same.
      await creating.get(id)?.catch(() => undefined);
      const taskPid = id === "" ? 0 : find(id).init.pid;
      return { shimPid: process.pid, taskPid, version: "" };
    },
    async shutdown() {
      if (isIdle()) shim.exit();
      return {};
    },
  };
}

function checkpointOptions(any: { typeUrl: string; value: Uint8Array } | undefined): CheckpointOptions {
  if (any === undefined || any.typeUrl === "") return CheckpointOptions.fromPartial({});
  if (any.typeUrl.slice(any.typeUrl.lastIndexOf("/") + 1) !== "containerd.runc.v1.CheckpointOptions") {
    throw invalidArgument(`checkpoint options of type "${any.typeUrl}" are not runc's`);
  }
  return CheckpointOptions.decode(any.value);
}

function processInfo(execId: string | undefined): { typeUrl: string; value: Uint8Array } | undefined {
  if (execId === undefined) return undefined;
  return { typeUrl: "containerd.runc.v1.ProcessDetails", value: ProcessDetails.encode({ execId }).finish() };
}
