import { type Command, command, defineFlags } from "../command/index.ts";

/** Commands that work inside containers. */
export const insideCommands: readonly Command[] = [
  command({
    name: "exec",
    summary: "Run a command in a container that runs",
    usage: "[flags] CONTAINER COMMAND [ARGUMENT...]",
    flags: defineFlags({
      interactive: { kind: "switch", aliases: ["i"], summary: "Connect stdin" },
      tty: { kind: "switch", aliases: ["t"], summary: "Give it a terminal" },
      detach: { kind: "switch", aliases: ["d"], summary: "Run in the background" },
      env: { kind: "list", aliases: ["e"], value: "NAME[=VALUE]", summary: "Set a variable" },
      "env-file": { kind: "list", value: "FILE", summary: "Set the variables of a file" },
      workdir: { kind: "text", aliases: ["w"], value: "DIR", summary: "Directory to start in" },
      user: { kind: "text", aliases: ["u"], value: "USER[:GROUP]", summary: "User to run as, by name or number" },
      privileged: { kind: "switch", summary: "All capabilities" },
    }),
    stopAtArgument: true,
    load: async () => (await import("./commands/exec.ts")).exec,
  }),
  command({
    name: "attach",
    summary: "Show what a container in the background prints from now on",
    description:
      "Shows what a container that runs in the background prints from now on, until it ends; signals go to it. Nothing can be typed into it. The exit status is the container's.",
    usage: "[flags] CONTAINER",
    flags: defineFlags({
      "sig-proxy": { kind: "switch", summary: "Pass signals on, unless --sig-proxy=false" },
      "no-stdin": { kind: "switch", summary: "Nothing is typed into it, whatever is said" },
    }),
    load: async () => (await import("./commands/attach.ts")).attach,
  }),
  command({
    name: "cp",
    summary: "Copy files and directories between a container and here",
    description: `Copies between a container and this machine, as docker's does: into a directory that is there under the
source's name, with /. at the source's end what is in it. "-" is an archive (tar) by pipe. A container that runs is held still meanwhile.`,
    usage: "CONTAINER:PATH PATH|-, or PATH|- CONTAINER:PATH",
    flags: defineFlags({
      quiet: {
        kind: "switch",
        aliases: ["q"],
        summary: "Accepted for docker's sake: nothing is printed",
        hidden: true,
      },
      archive: { kind: "switch", aliases: ["a"], summary: "Accepted for docker's sake: owners stay", hidden: true },
    }),
    load: async () => (await import("./commands/cp.ts")).cp,
  }),
];
