import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
import { Status } from "@hull/api/gen/containerd/types/task/task";
import { type Container, getContainer } from "@hull/client/containers";
import { deleteTask, getProcess, type Process as LoadedProcess } from "@hull/client/tasks";
import { failedPrecondition, HullError } from "@hull/errors";
import { type Signal, signalNumber } from "@hull/sys/process";
import { formatColumns } from "../command/index.ts";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import { CtrError, withClass } from "./errors.ts";
import type { tasksKill, tasksList, tasksRemove } from "./flags.ts";
import { logLine } from "./log.ts";
import { HostNetwork, isOnNetwork } from "./network.ts";

const statuses: Readonly<Partial<Record<Status, string>>> = {
  [Status.CREATED]: "CREATED",
  [Status.RUNNING]: "RUNNING",
  [Status.STOPPED]: "STOPPED",
  [Status.PAUSED]: "PAUSED",
  [Status.PAUSING]: "PAUSING",
};

const stopSignalLabel = "io.containerd.image.config.stop-signal";
const listLayout = { minWidth: 4, padding: 4 };

export const list: CtrAction<typeof tasksList> = ({ flags, globals, host }) =>
  withClient(globals, async (client) => {
    const { tasks } = await client.service(TasksDefinition).list({ filter: "" });
    if (flags.quiet) await host.out(tasks.map(({ id }) => `${id}\n`).join(""));
    else {
      const rows = tasks.map(({ id, pid, status }) => `${id}\t${pid}\t${statuses[status] ?? "UNKNOWN"}\n`);
      await host.out(formatColumns(`TASK\tPID\tSTATUS\t\n${rows.join("")}`, listLayout));
    }
    return 0;
  });

export const ps: CtrAction = async ({ args: [id = ""], globals, host }) => {
  if (id === "") throw new CtrError("container id must be provided");
  return await withClient(globals, async (client) => {
    await getContainer(client, id);
    const { processes } = await client.service(TasksDefinition).listPids({ containerId: id });
    const rows = processes.map(({ pid, info }) => `${pid}\t${info === undefined ? "-" : info.typeUrl}\n`);
    await host.out(formatColumns(`PID\tINFO\n${rows.join("")}`, { minWidth: 1, padding: 4 }));
    return 0;
  });
};

export const kill: CtrAction<typeof tasksKill> = async ({ flags, args: [id = ""], globals }) => {
  if (id === "") throw new CtrError("container id must be provided");
  return await withClient(globals, async (client) => {
    const { labels } = await getContainer(client, id);
    const { "exec-id": execId, all } = flags;
    if (execId !== undefined && all) throw new CtrError("specify an exec-id or all but not both");
    const signal = parseSignal(flags.signal ?? labels[stopSignalLabel] ?? "SIGTERM");
    const process = await getProcess(client, id, execId ?? "");
    await process.kill(signal, { all });
    return 0;
  });
};

/** @throws CtrError */
function parseSignal(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  const name = text.toUpperCase().replace(/^(?!SIG)/, "SIG");
  try {
    return signalNumber(name as Signal);
  } catch {
    throw new CtrError(`invalid signal: ${text}`);
  }
}

export const pause: CtrAction = ({ args: [id = ""], globals }) =>
  withClient(globals, async (client) => {
    await client.service(ContainersDefinition).get({ id });
    await client.service(TasksDefinition).pause({ containerId: id });
    return 0;
  });

export const resume: CtrAction = ({ args: [id = ""], globals }) =>
  withClient(globals, async (client) => {
    await client.service(ContainersDefinition).get({ id });
    await client.service(TasksDefinition).resume({ containerId: id });
    return 0;
  });

export const remove: CtrAction<typeof tasksRemove> = async ({ flags, args, globals, host }) =>
  withClient(globals, async (client) => {
    const { "exec-id": execId = "", force } = flags;
    let failed: unknown;
    const note = (what: string, error: unknown): void => {
      failed ??= error;
      logLine(host, "error", what, { error: withClass(HullError.from(error)) });
    };
    for (const id of args) {
      let process: LoadedProcess;
      let container: Container;
      try {
        container = await getContainer(client, id);
        process = await getProcess(client, id, execId);
      } catch (error) {
        if (execId !== "") throw error;
        note(`failed to load task from ${id}`, error);
        continue;
      }
      try {
        if (!force) await requireStopped(process);
        if (execId === "" && isOnNetwork(container)) await new HostNetwork(host.env).detach(client.namespace, id);
        const { status } = await deleteTask(process, { force });
        if (execId !== "") return status;
        if (status !== 0) logLine(host, "warning", `task ${id} exit with non-zero exit code ${status}`);
      } catch (error) {
        if (execId !== "") throw error;
        note(`unable to delete ${id}`, error);
      }
    }
    if (failed !== undefined) throw failed;
    return 0;
  });

/** @throws FailedPrecondition, in the words of containerd's client, while a process runs */
async function requireStopped(process: LoadedProcess): Promise<void> {
  const { status } = await process.state();
  if (status === Status.STOPPED || status === Status.CREATED || status === Status.UNKNOWN) return;
  const name = (statuses[status] ?? "unknown").toLowerCase();
  throw failedPrecondition(`task must be stopped before deletion: ${name}`);
}
