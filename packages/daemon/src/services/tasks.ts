import { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
import type { Metric } from "@hull/api/gen/containerd/types/metrics";
import { Status, type Process as WireProcess } from "@hull/api/gen/containerd/types/task/task";
import { nowNanos, timestampOfNanos } from "@hull/api/timestamp";
import type { StandIns } from "@hull/engine/containers/stand-ins";
import type { Context } from "@hull/engine/context";
import { compileFilters } from "@hull/engine/metadata/filters/index";
import type { Checkpoints } from "@hull/engine/runtime/checkpoints";
import type { ProcessState, TaskManager, TaskStatus } from "@hull/engine/runtime/index";
import { invalidArgument, isCode } from "@hull/errors";
import { type Service, service } from "../server/service.ts";
import { contextOf, fromWireDescriptor, fromWireMount, need, toWireDescriptor } from "./wire.ts";

const statuses: Readonly<Record<TaskStatus, Status>> = {
  unknown: Status.UNKNOWN,
  created: Status.CREATED,
  running: Status.RUNNING,
  stopped: Status.STOPPED,
  paused: Status.PAUSED,
  pausing: Status.PAUSING,
};

export const tasksService = (tasks: TaskManager, checkpoints: Checkpoints, standIns: StandIns): Service =>
  service(TasksDefinition, {
    async create({ containerId, checkpoint, runtimePath, taskApiAddress, taskApiVersion, ...wanted }, call) {
      const { rootfs, stdin, stdout, stderr, terminal, options } = wanted;
      const ctx = contextOf(call);
      const from = checkpoint === undefined ? undefined : fromWireDescriptor(checkpoint);
      const request = {
        id: containerId,
        checkpoint: await checkpoints.unpack(ctx, containerId, from, options),
        rootfs: rootfs.map(fromWireMount),
        stdin,
        stdout,
        stderr,
        terminal,
        options,
        runtimePath: runtimePath === "" ? undefined : runtimePath,
        sandboxApi: taskApiAddress === "" ? undefined : { address: taskApiAddress, version: taskApiVersion },
      };
      const { pid } = await tasks.create(ctx, request);
      return { containerId, pid };
    },
    async start({ containerId, execId }, call) {
      const ctx = contextOf(call);
      const { pid } = await tasks.start(ctx, containerId, execId);
      if (execId === "") await checkpoints.forget(ctx, containerId);
      return { pid };
    },
    async delete({ containerId }, call) {
      const ctx = contextOf(call);
      const { pid, exitStatus, exitedAt } = await tasks.delete(ctx, containerId);
      await checkpoints.forget(ctx, containerId);
      // As containerd answers: without its id.
      return { id: "", pid, exitStatus, exitedAt: timestampOfNanos(exitedAt) };
    },
    async deleteProcess({ containerId, execId }, call) {
      const { pid, exitStatus, exitedAt } = await tasks.deleteProcess(contextOf(call), containerId, execId);
      return { id: execId, pid, exitStatus, exitedAt: timestampOfNanos(exitedAt) };
    },
    async get({ containerId, execId }, call) {
      const ctx = contextOf(call);
      const pid = execId === "" ? standIns.find(ctx, containerId)?.pid() : undefined;
      if (pid !== undefined) return { process: { id: containerId, pid, status: Status.RUNNING } };
      return { process: toWireProcess(await tasks.get(ctx, containerId, execId)) };
    },
    async list(_, call) {
      return { tasks: (await tasks.list(contextOf(call))).map(toWireProcess) };
    },
    async kill({ containerId, execId, signal, all }, call) {
      await tasks.kill(contextOf(call), containerId, { execId, signal, all });
      return {};
    },
    async exec({ containerId, execId, terminal, stdin, stdout, stderr, spec }, call) {
      if (execId === "") throw invalidArgument("exec id cannot be empty");
      const request = { id: containerId, execId, terminal, stdin, stdout, stderr, spec: need(spec, "spec") };
      await tasks.exec(contextOf(call), request);
      return {};
    },
    async resizePty({ containerId, execId, width, height }, call) {
      await tasks.resizePty(contextOf(call), containerId, execId, width, height);
      return {};
    },
    async closeIO({ containerId, execId, stdin }, call) {
      await tasks.closeIo(contextOf(call), containerId, execId, stdin);
      return {};
    },
    async pause({ containerId }, call) {
      await tasks.pause(contextOf(call), containerId);
      return {};
    },
    async resume({ containerId }, call) {
      await tasks.resume(contextOf(call), containerId);
      return {};
    },
    async listPids({ containerId }, call) {
      return { processes: await tasks.pids(contextOf(call), containerId) };
    },
    async checkpoint({ containerId, options }, call) {
      const taken = await checkpoints.take(contextOf(call), containerId, options);
      return { descriptors: taken.map(toWireDescriptor) };
    },
    async update({ containerId, resources, annotations }, call) {
      await tasks.update(contextOf(call), containerId, need(resources, "resources"), annotations);
      return {};
    },
    async metrics({ filters }, call) {
      return { metrics: await metrics(tasks, contextOf(call), filters) };
    },
    async wait({ containerId, execId }, call) {
      const { exitStatus, exitedAt } = await tasks.wait(contextOf(call), containerId, execId);
      return { exitStatus, exitedAt: timestampOfNanos(exitedAt) };
    },
  });

/** Metrics of every task that the filters (fields `id`, `namespace`) let through. */
async function metrics(tasks: TaskManager, ctx: Context, filters: readonly string[]): Promise<Metric[]> {
  const matches = compileFilters<string>(filters, (id, [field]) => {
    if (field === "id") return id;
    return field === "namespace" ? ctx.namespace : undefined;
  });
  const wanted = (await tasks.list(ctx)).map(({ id }) => id).filter(matches);
  const found = await Promise.all(
    wanted.map(async (id) => {
      try {
        const data = await tasks.stats(ctx, id);
        return { timestamp: timestampOfNanos(nowNanos()), id, data };
      } catch (error) {
        // A task that ended since it was listed has none.
        if (isCode(error, "notFound")) return undefined;
        throw error;
      }
    }),
  );
  return found.filter((metric) => metric !== undefined);
}

/** `id` is the container's, or the exec's; containerd leaves `container_id` empty. */
function toWireProcess({
  id,
  execId,
  pid,
  status,
  stdin,
  stdout,
  stderr,
  terminal,
  exitStatus,
  exitedAt,
}: ProcessState): WireProcess {
  return {
    containerId: "",
    id: execId === "" ? id : execId,
    pid,
    status: statuses[status],
    stdin,
    stdout,
    stderr,
    terminal,
    exitStatus,
    exitedAt: timestampOfNanos(exitedAt),
  };
}
