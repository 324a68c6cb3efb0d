import { type Command, command, defineFlags } from "../command/index.ts";
import { runFlags } from "./run-flags.ts";
import { updateFlags } from "./update-flags.ts";

const stopFlags = defineFlags({
  time: {
    kind: "integer",
    aliases: ["t", "timeout"],
    value: "SECONDS",
    summary: "Until it is killed; 10, or what --stop-timeout said; -1: for ever",
  },
  signal: { kind: "text", aliases: ["s"], value: "SIGNAL", summary: "Signal that asks; the image's, else SIGTERM" },
});

/** Commands that make containers, change what they do, and take them away. */
export const lifeCommands: readonly Command[] = [
  command({
    name: "run",
    summary: "Run a command in a new container",
    description:
      "Runs a command in a new container. An image that isn't there is pulled first. The exit status is the command's.",
    usage: "[flags] IMAGE [COMMAND] [ARGUMENT...]",
    flags: runFlags,
    stopAtArgument: true,
    load: async () => (await import("./commands/run.ts")).run,
  }),
  command({
    name: "create",
    summary: "Make a container without starting it",
    usage: "[flags] IMAGE [COMMAND] [ARGUMENT...]",
    flags: runFlags,
    stopAtArgument: true,
    load: async () => (await import("./commands/run.ts")).create,
  }),
  command({
    name: "start",
    summary: "Start containers that don't run",
    usage: "[flags] CONTAINER...",
    flags: defineFlags({
      attach: { kind: "switch", aliases: ["a"], summary: "Stay with it and show its output" },
      interactive: { kind: "switch", aliases: ["i"], summary: "Connect stdin too" },
    }),
    load: async () => (await import("./commands/lifecycle.ts")).start,
  }),
  command({
    name: "stop",
    summary: "Ask containers to end, and kill those that don't",
    usage: "[flags] CONTAINER...",
    flags: stopFlags,
    load: async () => (await import("./commands/lifecycle.ts")).stop,
  }),
  command({
    name: "restart",
    summary: "Stop containers and start them again",
    usage: "[flags] CONTAINER...",
    flags: stopFlags,
    load: async () => (await import("./commands/lifecycle.ts")).restart,
  }),
  command({
    name: "kill",
    summary: "Send a signal to containers",
    usage: "[flags] CONTAINER...",
    flags: defineFlags({
      signal: { kind: "text", aliases: ["s"], value: "SIGNAL", default: "KILL", summary: "Signal, by name or number" },
    }),
    load: async () => (await import("./commands/lifecycle.ts")).kill,
  }),
  command({
    name: "pause",
    summary: "Freeze containers",
    usage: "CONTAINER...",
    load: async () => (await import("./commands/lifecycle.ts")).pause,
  }),
  command({
    name: "unpause",
    summary: "Let frozen containers go on",
    usage: "CONTAINER...",
    load: async () => (await import("./commands/lifecycle.ts")).unpause,
  }),
  command({
    name: "wait",
    summary: "Wait until containers end, and print their exit statuses",
    usage: "CONTAINER...",
    load: async () => (await import("./commands/lifecycle.ts")).wait,
  }),
  command({
    name: "update",
    summary: "Change limits and restart policy of containers",
    usage: "[flags] CONTAINER...",
    flags: updateFlags,
    load: async () => (await import("./commands/update.ts")).update,
  }),
  command({
    name: "rm",
    summary: "Remove containers",
    usage: "[flags] CONTAINER...",
    flags: defineFlags({
      force: { kind: "switch", aliases: ["f"], summary: "Also those that run: they are killed" },
      volumes: {
        kind: "switch",
        aliases: ["v"],
        summary: "Their volumes without a name too",
      },
    }),
    load: async () => (await import("./commands/lifecycle.ts")).rm,
  }),
  command({
    name: "rename",
    summary: "Give a container another name",
    usage: "CONTAINER NAME",
    load: async () => (await import("./commands/rename.ts")).rename,
  }),
];
