import { type Command, command, defineFlags } from "../command/index.ts";
import { doctorCommand } from "../doctor/command.ts";
import { containerGroup, imageGroup } from "./program-groups.ts";
import { networkCommands } from "./program-networks.ts";
import { volumeCommands } from "./program-volumes.ts";

/** Commands for hull as a whole, and docker's groups of commands. */
export const otherCommands: readonly Command[] = [
  command({
    name: "completion",
    summary: "Print a script that completes commands at TAB",
    description: `Prints a script that completes hull's commands, flags and names in a shell. To have it in every new shell:

  bash   hull completion bash >/etc/bash_completion.d/hull       (or in ~/.bashrc: source <(hull completion bash))
  zsh    hull completion zsh >/usr/share/zsh/vendor-completions/_hull
  fish   hull completion fish >/etc/fish/completions/hull.fish

With --for ctr it is for hull's ctr by that name.`,
    usage: "[flags] bash|zsh|fish",
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
    flags: defineFlags({
      filter: { kind: "list", aliases: ["f"], value: "KEY=VALUE", summary: "type, event, container or image" },
      format: { kind: "text", value: "FORMAT", summary: "json, or a template of Go" },
    }),
    load: async () => (await import("./commands/events.ts")).events,
  }),
  {
    name: "system",
    summary: "Look after the whole",
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
  containerGroup,
  imageGroup,
  doctorCommand,
  volumeCommands,
  networkCommands,
  command({
    name: "info",
    summary: "Print what the daemon has and runs on",
    flags: defineFlags({
      format: { kind: "text", aliases: ["f"], value: "FORMAT", summary: "json, or a template of Go" },
    }),
    load: async () => (await import("./commands/system.ts")).info,
  }),
  command({
    name: "version",
    summary: "Print the versions of hull and of the daemon",
    flags: defineFlags({
      format: { kind: "text", aliases: ["f"], value: "FORMAT", summary: "json, or a template of Go" },
    }),
    load: async () => (await import("./commands/system.ts")).version,
  }),
];
