import { type Command, command } from "../command/index.ts";
import { containerFlags } from "./container-flags.ts";
import * as flags from "./flags.ts";
import { removeAliases } from "./tree.ts";

/** ctr's commands for containers and tasks. */

export const containers: Command = {
  name: "containers",
  aliases: ["c", "container"],
  summary: "manage containers",
  commands: [
    command({
      name: "create",
      summary: "create container",
      usage: "[flags] Image|RootFS CONTAINER [COMMAND] [ARG...]",
      stopAtArgument: true,
      flags: containerFlags,
      load: async () => (await import("./containers.ts")).create,
    }),
    command({
      name: "delete",
      aliases: removeAliases,
      summary: "delete one or more existing containers",
      usage: "[flags] CONTAINER [CONTAINER, ...]",
      flags: flags.containersRemove,
      load: async () => (await import("./containers.ts")).remove,
    }),
    command({
      name: "info",
      summary: "get info about a container",
      usage: "CONTAINER",
      flags: flags.containersInfo,
      load: async () => (await import("./containers.ts")).info,
    }),
    command({
      name: "list",
      aliases: ["ls"],
      summary: "list containers",
      usage: "[flags] [<filter>, ...]",
      flags: flags.containersList,
      load: async () => (await import("./containers.ts")).list,
    }),
    command({
      name: "label",
      summary: "set and clear labels for a container",
      usage: "[flags] CONTAINER [<key>=<value>, ...]",
      description: "set and clear labels for a container",
      load: async () => (await import("./containers.ts")).label,
    }),
    command({
      name: "checkpoint",
      summary: "checkpoint a container",
      usage: "CONTAINER REF",
      flags: flags.containersCheckpoint,
      load: async () => (await import("./checkpoint.ts")).checkpointContainer,
    }),
    command({
      name: "restore",
      summary: "restore a container from checkpoint",
      usage: "CONTAINER REF",
      flags: flags.containersRestore,
      load: async () => (await import("./restore.ts")).restoreContainer,
    }),
  ],
};

export const tasks: Command = {
  name: "tasks",
  aliases: ["t", "task"],
  summary: "manage tasks",
  commands: [
    command({
      name: "attach",
      summary: "attach to the IO of a running container",
      usage: "CONTAINER",
      load: async () => (await import("./tasks-run.ts")).attach,
    }),
    command({
      name: "checkpoint",
      summary: "checkpoint a container",
      usage: "[flags] CONTAINER",
      flags: flags.tasksCheckpoint,
      load: async () => (await import("./checkpoint.ts")).checkpointTask,
    }),
    command({
      name: "delete",
      aliases: removeAliases,
      summary: "delete one or more tasks",
      usage: "CONTAINER [CONTAINER, ...]",
      flags: flags.tasksRemove,
      load: async () => (await import("./tasks.ts")).remove,
    }),
    command({
      name: "exec",
      summary: "execute additional processes in an existing container",
      usage: "[flags] CONTAINER CMD [ARG...]",
      stopAtArgument: true,
      flags: flags.tasksExec,
      load: async () => (await import("./tasks-run.ts")).exec,
    }),
    command({
      name: "list",
      aliases: ["ls"],
      summary: "list tasks",
      usage: "[flags]",
      flags: flags.tasksList,
      load: async () => (await import("./tasks.ts")).list,
    }),
    command({
      name: "kill",
      summary: "signal a container (default: SIGTERM)",
      usage: "[flags] CONTAINER",
      flags: flags.tasksKill,
      load: async () => (await import("./tasks.ts")).kill,
    }),
    command({
      name: "pause",
      summary: "pause an existing container",
      usage: "CONTAINER",
      load: async () => (await import("./tasks.ts")).pause,
    }),
    command({
      name: "ps",
      summary: "list processes for container",
      usage: "CONTAINER",
      load: async () => (await import("./tasks.ts")).ps,
    }),
    command({
      name: "resume",
      summary: "resume a paused container",
      usage: "CONTAINER",
      load: async () => (await import("./tasks.ts")).resume,
    }),
    command({
      name: "start",
      summary: "start a container that has been created",
      usage: "CONTAINER",
      flags: flags.tasksStart,
      load: async () => (await import("./tasks-run.ts")).start,
    }),
    command({
      name: "metrics",
      aliases: ["metric"],
      summary: "get a single data point of metrics for a task with the built-in Linux runtime",
      usage: "CONTAINER",
      flags: flags.tasksMetrics,
      load: async () => (await import("./tasks-metrics.ts")).metrics,
    }),
  ],
};
