import { version } from "@hull/daemon/version";
import { type Command, command, defineFlags, formatHelp, type Program } from "../command/index.ts";
import { doctorCommand } from "../doctor/command.ts";
import { completes } from "./completes.ts";
import { globalFlags } from "./globals.ts";
import { archiveCommands, importCommand } from "./program-archives.ts";
import { networkCommands } from "./program-networks.ts";
import { volumeCommands } from "./program-volumes.ts";
import { runFlags } from "./run-flags.ts";
import { explain } from "./session.ts";
import { updateFlags } from "./update-flags.ts";

const containers = "Containers";
const images = "Images";
const others = "More";

const stopFlags = defineFlags({
  time: {
    kind: "integer",
    aliases: ["t", "timeout"],
    value: "SECONDS",
    summary: "Until it is killed; 10, or what --stop-timeout said; -1: for ever",
  },
  signal: { kind: "text", aliases: ["s"], value: "SIGNAL", summary: "Signal that asks; the image's, else SIGTERM" },
});

const containerCommands: readonly Command[] = [
  command({
    name: "run",
    summary: "Run a command in a new container",
    description:
      "Runs a command in a new container. An image that isn't there is pulled first. The exit status is the command's.",
    usage: "[flags] IMAGE [COMMAND] [ARGUMENT...]",
    heading: containers,
    flags: runFlags,
    stopAtArgument: true,
    load: async () => (await import("./commands/run.ts")).run,
  }),
  command({
    name: "create",
    summary: "Make a container without starting it",
    usage: "[flags] IMAGE [COMMAND] [ARGUMENT...]",
    heading: containers,
    flags: runFlags,
    stopAtArgument: true,
    load: async () => (await import("./commands/run.ts")).create,
  }),
  command({
    name: "ps",
    summary: "List containers",
    usage: "[flags]",
    heading: containers,
    flags: defineFlags({
      all: { kind: "switch", aliases: ["a"], summary: "Also those that don't run" },
      quiet: { kind: "switch", aliases: ["q"], summary: "Ids alone" },
      latest: { kind: "switch", aliases: ["l"], summary: "The one made last, whatever it is doing" },
      last: { kind: "integer", aliases: ["n"], value: "NUMBER", summary: "Those made last, whatever they are doing" },
      filter: {
        kind: "list",
        aliases: ["f"],
        value: "KEY=VALUE",
        summary: "id, name, label, status, health, ancestor, exited, network or publish",
      },
      format: { kind: "text", value: "FORMAT", summary: "json, a template of Go, or table TEMPLATE" },
      "no-trunc": { kind: "switch", summary: "Don't cut ids and commands" },
      pods: {
        kind: "switch",
        summary: "Those of Kubernetes' pods; filters are id, name, label, status, namespace, pod",
      },
    }),
    load: async () => (await import("./commands/ps.ts")).ps,
  }),
  command({
    name: "pods",
    summary: "List Kubernetes' pods",
    description:
      "Lists the pods that the kubelet or crictl made, whatever the namespace, with those of their containers that run.",
    usage: "[flags]",
    heading: containers,
    flags: defineFlags({
      quiet: { kind: "switch", aliases: ["q"], summary: "Ids alone" },
      filter: {
        kind: "list",
        aliases: ["f"],
        value: "KEY=VALUE",
        summary: "id, name, namespace, label or status (ready, notready)",
      },
      format: { kind: "text", value: "FORMAT", summary: "json, a template of Go, or table TEMPLATE" },
      "no-trunc": { kind: "switch", summary: "Don't cut ids" },
    }),
    load: async () => (await import("./commands/pods.ts")).pods,
  }),
  command({
    name: "exec",
    summary: "Run a command in a container that runs",
    usage: "[flags] CONTAINER COMMAND [ARGUMENT...]",
    heading: containers,
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
    name: "logs",
    summary: "Print what a container wrote in the background",
    description:
      "The container of a pod goes by [NAMESPACE/]POD/CONTAINER; by NAMESPACE/POD if it is the pod's only one.",
    usage: "[flags] CONTAINER",
    heading: containers,
    flags: defineFlags({
      follow: { kind: "switch", aliases: ["f"], summary: "Go on until the container ends" },
      tail: {
        kind: "text",
        aliases: ["n"],
        value: "LINES",
        default: "all",
        summary: "Begin so many lines before the end",
      },
      since: {
        kind: "text",
        value: "TIME",
        summary: "Lines of then and later: a time (2026-01-02T15:04:05), or how long before now (10m)",
      },
      until: { kind: "text", value: "TIME", summary: "Lines from before then" },
      timestamps: { kind: "switch", aliases: ["t"], summary: "With the time of each line" },
    }),
    load: async () => (await import("./commands/logs.ts")).logs,
  }),
  command({
    name: "attach",
    summary: "Show what a container in the background prints from now on",
    description:
      "Shows what a container that runs in the background prints from now on, until it ends; signals go to it. Nothing can be typed into it. The exit status is the container's.",
    usage: "[flags] CONTAINER",
    heading: containers,
    flags: defineFlags({
      "sig-proxy": { kind: "switch", summary: "Pass signals on, unless --sig-proxy=false" },
      "no-stdin": { kind: "switch", summary: "Nothing is typed into it, whatever is said" },
    }),
    load: async () => (await import("./commands/attach.ts")).attach,
  }),
  ...archiveCommands.map((each) => ({ ...each, heading: containers })),
  command({
    name: "start",
    summary: "Start containers that don't run",
    usage: "[flags] CONTAINER...",
    heading: containers,
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
    heading: containers,
    flags: stopFlags,
    load: async () => (await import("./commands/lifecycle.ts")).stop,
  }),
  command({
    name: "restart",
    summary: "Stop containers and start them again",
    usage: "[flags] CONTAINER...",
    heading: containers,
    flags: stopFlags,
    load: async () => (await import("./commands/lifecycle.ts")).restart,
  }),
  command({
    name: "kill",
    summary: "Send a signal to containers",
    usage: "[flags] CONTAINER...",
    heading: containers,
    flags: defineFlags({
      signal: { kind: "text", aliases: ["s"], value: "SIGNAL", default: "KILL", summary: "Signal, by name or number" },
    }),
    load: async () => (await import("./commands/lifecycle.ts")).kill,
  }),
  command({
    name: "pause",
    summary: "Freeze containers",
    usage: "CONTAINER...",
    heading: containers,
    load: async () => (await import("./commands/lifecycle.ts")).pause,
  }),
  command({
    name: "unpause",
    summary: "Let frozen containers go on",
    usage: "CONTAINER...",
    heading: containers,
    load: async () => (await import("./commands/lifecycle.ts")).unpause,
  }),
  command({
    name: "wait",
    summary: "Wait until containers end, and print their exit statuses",
    usage: "CONTAINER...",
    heading: containers,
    load: async () => (await import("./commands/lifecycle.ts")).wait,
  }),
  command({
    name: "update",
    summary: "Change limits and restart policy of containers",
    usage: "[flags] CONTAINER...",
    heading: containers,
    flags: updateFlags,
    load: async () => (await import("./commands/update.ts")).update,
  }),
  command({
    name: "rm",
    summary: "Remove containers",
    usage: "[flags] CONTAINER...",
    heading: containers,
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
    name: "inspect",
    summary: "Print all about containers, images or pods as JSON",
    description:
      "A pod goes by its id, NAMESPACE/NAME or name. What is a container or an image too is that, unless --type says pod.",
    usage: "[flags] CONTAINER|IMAGE|POD...",
    heading: containers,
    flags: defineFlags({
      type: { kind: "text", value: "TYPE", choices: ["container", "image", "pod"], summary: "container, image or pod" },
      format: { kind: "text", aliases: ["f"], value: "FORMAT", summary: "json, or a template of Go for each" },
    }),
    load: async () => (await import("./commands/inspect.ts")).inspect,
  }),
  command({
    name: "rename",
    summary: "Give a container another name",
    usage: "CONTAINER NAME",
    heading: containers,
    load: async () => (await import("./commands/rename.ts")).rename,
  }),
  command({
    name: "port",
    summary: "Print the published ports of a container",
    usage: "CONTAINER [PORT[/PROTOCOL]]",
    heading: containers,
    load: async () => (await import("./commands/port.ts")).port,
  }),
  command({
    name: "cp",
    summary: "Copy files and directories between a container and here",
    description: `Copies between a container and this machine, as docker's does: into a directory that is there under the
source's name, with /. at the source's end what is in it. "-" is an archive (tar) by pipe. A container that runs is held still meanwhile.`,
    usage: "CONTAINER:PATH PATH|-, or PATH|- CONTAINER:PATH",
    heading: containers,
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
  command({
    name: "top",
    summary: "List the processes of a container",
    usage: "CONTAINER [PS OPTION...]",
    heading: containers,
    stopAtArgument: true,
    load: async () => (await import("./commands/top.ts")).top,
  }),
  command({
    name: "stats",
    summary: "Show what containers use, once a second",
    usage: "[flags] [CONTAINER...]",
    heading: containers,
    flags: defineFlags({
      all: { kind: "switch", aliases: ["a"], summary: "Also those that don't run" },
      "no-stream": { kind: "switch", summary: "Once" },
      "no-trunc": { kind: "switch", summary: "Don't cut ids" },
      format: { kind: "text", value: "FORMAT", summary: "json, a template of Go, or table TEMPLATE" },
    }),
    load: async () => (await import("./commands/stats.ts")).stats,
  }),
];

const imageCommands: readonly Command[] = [
  command({
    name: "pull",
    summary: "Fetch images from a registry",
    usage: "[flags] IMAGE...",
    heading: images,
    flags: defineFlags({
      quiet: { kind: "switch", aliases: ["q"], summary: "No progress" },
      "plain-http": { kind: "switch", summary: "Over HTTP without TLS" },
    }),
    load: async () => (await import("./commands/images.ts")).pull,
  }),
  command({
    name: "push",
    summary: "Send images to a registry",
    usage: "[flags] IMAGE...",
    heading: images,
    flags: defineFlags({
      quiet: { kind: "switch", aliases: ["q"], summary: "No progress" },
      platform: {
        kind: "text",
        value: "PLATFORM",
        summary: "What of the image is for it, as linux/arm64; all of it unless given",
      },
      "plain-http": { kind: "switch", summary: "Over HTTP without TLS" },
    }),
    load: async () => (await import("./commands/push.ts")).push,
  }),
  command({
    name: "images",
    summary: "List images",
    usage: "[flags] [NAME]",
    heading: images,
    flags: defineFlags({
      quiet: { kind: "switch", aliases: ["q"], summary: "Ids alone" },
      all: { kind: "switch", aliases: ["a"], summary: "Accepted for docker's sake: all are shown", hidden: true },
      "no-trunc": { kind: "switch", summary: "Don't cut ids" },
      digests: { kind: "switch", summary: "Also show digests" },
      format: { kind: "text", value: "FORMAT", summary: "json, a template of Go, or table TEMPLATE" },
    }),
    load: async () => (await import("./commands/images.ts")).images,
  }),
  command({
    name: "load",
    summary: "Read images from an archive (docker save, OCI layout)",
    usage: "[flags]",
    heading: images,
    flags: defineFlags({
      input: { kind: "text", aliases: ["i"], value: "FILE", summary: "The archive; the standard input unless given" },
      quiet: { kind: "switch", aliases: ["q"], summary: "Print ids alone" },
    }),
    load: async () => (await import("./commands/images.ts")).load,
  }),
  { ...importCommand, heading: images },
  command({
    name: "save",
    summary: "Write images to an archive that load reads, and docker load",
    usage: "[flags] IMAGE...",
    heading: images,
    flags: defineFlags({
      output: { kind: "text", aliases: ["o"], value: "FILE", summary: "The archive; the standard output unless given" },
      platform: {
        kind: "text",
        value: "PLATFORM",
        summary: "What of the images is for it, as linux/arm64; this machine's",
      },
    }),
    load: async () => (await import("./commands/save.ts")).save,
  }),
  command({
    name: "history",
    summary: "Show how an image was made",
    usage: "[flags] IMAGE",
    heading: images,
    flags: defineFlags({
      quiet: { kind: "switch", aliases: ["q"], summary: "Ids alone" },
      "no-trunc": { kind: "switch", summary: "Don't cut ids and commands" },
    }),
    load: async () => (await import("./commands/history.ts")).history,
  }),
  command({
    name: "login",
    summary: "Keep a name and password for a registry, where docker keeps them",
    usage: "[flags] [REGISTRY]",
    heading: images,
    flags: defineFlags({
      username: { kind: "text", aliases: ["u"], value: "NAME", summary: "Who to log in as" },
      password: {
        kind: "text",
        aliases: ["p"],
        value: "PASSWORD",
        summary: "Better not: others see it in the list of processes",
      },
      "password-stdin": { kind: "switch", summary: "Read the password from the standard input" },
      "plain-http": { kind: "switch", summary: "Over HTTP without TLS" },
    }),
    load: async () => (await import("./commands/login.ts")).login,
  }),
  command({
    name: "logout",
    summary: "Forget the name and password for a registry",
    usage: "[REGISTRY]",
    heading: images,
    load: async () => (await import("./commands/login.ts")).logout,
  }),
  command({
    name: "tag",
    summary: "Give an image another name",
    usage: "IMAGE NAME",
    heading: images,
    load: async () => (await import("./commands/images.ts")).tag,
  }),
  command({
    name: "rmi",
    summary: "Remove images",
    usage: "[flags] IMAGE...",
    heading: images,
    flags: defineFlags({ force: { kind: "switch", aliases: ["f"], summary: "Also one that a container uses" } }),
    load: async () => (await import("./commands/images.ts")).rmi,
  }),
];

const otherCommands: readonly Command[] = [
  command({
    name: "completion",
    summary: "Print a script that completes commands at TAB",
    description: `Prints a script that completes hull's commands, flags and names in a shell. To have it in every new shell:

  bash   hull completion bash >/etc/bash_completion.d/hull       (or in ~/.bashrc: source <(hull completion bash))
  zsh    hull completion zsh >/usr/share/zsh/vendor-completions/_hull
  fish   hull completion fish >/etc/fish/completions/hull.fish

With --for ctr it is for hull's ctr by that name.`,
    usage: "[flags] bash|zsh|fish",
    heading: others,
    flags: defineFlags({
      for: {
        kind: "text",
        value: "NAME",
        default: "hull",
        choices: ["hull", "ctr"],
        summary: "Name that the executable is called by",
      },
    }),
    load: async () => {
      const { printScript } = await import("../completion/main.ts");
      return ({ flags, args, host }) => printScript(flags.for, args, host);
    },
  }),
  command({
    name: "migrate",
    summary: "Take over what a stopped containerd has, or give it back",
    description:
      "Takes over images, content, snapshots, containers, leases and labels of a containerd that is stopped, on the same file system. No blob is copied.",
    usage: "--from DIR | --undo",
    heading: others,
    flags: defineFlags({
      from: { kind: "text", value: "DIR", summary: "The containerd's root, e.g. /var/lib/containerd" },
      undo: { kind: "switch", summary: "Give all back" },
      force: { kind: "switch", aliases: ["f"], summary: "With --undo: also if that leaves out what hull did since" },
    }),
    load: async () => (await import("./commands/migrate.ts")).migrate,
  }),
  command({
    name: "events",
    summary: "Print what happens, until interrupted",
    usage: "[flags]",
    heading: others,
    flags: defineFlags({
      filter: { kind: "list", aliases: ["f"], value: "KEY=VALUE", summary: "type, event, container or image" },
      format: { kind: "text", value: "FORMAT", summary: "json, or a template of Go" },
    }),
    load: async () => (await import("./commands/events.ts")).events,
  }),
  {
    name: "system",
    summary: "Look after the whole",
    heading: others,
    commands: [
      command({
        name: "prune",
        summary: "Remove containers that don't run, and images that nothing uses",
        usage: "[flags]",
        flags: defineFlags({
          all: { kind: "switch", aliases: ["a"], summary: "Also images that have a name" },
          force: { kind: "switch", aliases: ["f"], summary: "Don't ask" },
        }),
        load: async () => (await import("./commands/prune.ts")).pruneSystem,
      }),
    ],
  },
  {
    name: "container",
    summary: "Look after containers",
    heading: others,
    commands: [
      ...containerCommands.map((each) =>
        each.name === "ps" ? { ...each, name: "ls", aliases: ["list", "ps"] } : each,
      ),
      command({
        name: "prune",
        summary: "Remove containers that don't run",
        usage: "[flags]",
        flags: defineFlags({ force: { kind: "switch", aliases: ["f"], summary: "Don't ask" } }),
        load: async () => (await import("./commands/prune.ts")).containerPrune,
      }),
    ],
  },
  {
    name: "image",
    summary: "Look after images",
    heading: others,
    commands: [
      ...imageCommands.map((each) => {
        const name = { images: "ls", rmi: "rm" }[each.name];
        return name === undefined ? each : { ...each, name, aliases: [name === "ls" ? "list" : "remove"] };
      }),
      command({
        name: "prune",
        summary: "Remove images that nothing uses",
        usage: "[flags]",
        flags: defineFlags({
          all: { kind: "switch", aliases: ["a"], summary: "Also those that have a name" },
          force: { kind: "switch", aliases: ["f"], summary: "Don't ask" },
        }),
        load: async () => (await import("./commands/prune.ts")).imagePrune,
      }),
    ],
  },
  { ...doctorCommand, heading: others },
  { ...volumeCommands, heading: others },
  { ...networkCommands, heading: others },
  command({
    name: "info",
    summary: "Print what the daemon has and runs on",
    heading: others,
    flags: defineFlags({
      format: { kind: "text", aliases: ["f"], value: "FORMAT", summary: "json, or a template of Go" },
    }),
    load: async () => (await import("./commands/system.ts")).info,
  }),
  command({
    name: "version",
    summary: "Print the versions of hull and of the daemon",
    heading: others,
    flags: defineFlags({
      format: { kind: "text", aliases: ["f"], value: "FORMAT", summary: "json, or a template of Go" },
    }),
    load: async () => (await import("./commands/system.ts")).version,
  }),
];

/** hull's docker-like commands; `parts` are what else the executable is. */
export function dockerProgram(parts: readonly Command[]): Program {
  return {
    name: "hull",
    dialect: "posix",
    version: `hull version ${version}`,
    help: formatHelp,
    explain,
    completes,
    root: {
      name: "hull",
      summary: "runs containers: docker's commands, containerd's API",
      description:
        "hull runs containers. A daemon that isn't running is started by itself; containers go on without the command that started them.",
      flags: globalFlags,
      commands: [
        ...containerCommands,
        ...imageCommands,
        ...parts.map((part) => ({ ...part, heading: others })),
        ...otherCommands,
      ],
    },
  };
}
