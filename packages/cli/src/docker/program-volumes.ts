import { type Command, command, defineFlags } from "../command/index.ts";

/** `hull volume …` */
export const volumeCommands: Command = {
  name: "volume",
  summary: "Look after volumes",
  commands: [
    command({
      name: "create",
      summary: "Make a volume",
      usage: "[flags] [NAME]",
      flags: defineFlags({
        label: { kind: "list", value: "KEY=VALUE", summary: "Set a label" },
        driver: { kind: "text", aliases: ["d"], value: "NAME", default: "local", summary: "Only local is known" },
        name: { kind: "text", value: "NAME", summary: "Its name, as the argument", hidden: true },
      }),
      load: async () => (await import("./commands/volume.ts")).createVolume,
    }),
    command({
      name: "ls",
      aliases: ["list"],
      summary: "List volumes",
      usage: "[flags]",
      flags: defineFlags({
        quiet: { kind: "switch", aliases: ["q"], summary: "Names alone" },
        filter: { kind: "list", aliases: ["f"], value: "KEY=VALUE", summary: "name, dangling, label or driver" },
        format: { kind: "text", value: "FORMAT", summary: "json, a template of Go, or table TEMPLATE" },
      }),
      load: async () => (await import("./commands/volume.ts")).listVolumes,
    }),
    command({
      name: "inspect",
      summary: "Print all about volumes as JSON",
      usage: "[flags] VOLUME...",
      flags: defineFlags({
        format: { kind: "text", aliases: ["f"], value: "FORMAT", summary: "json, or a template of Go" },
      }),
      load: async () => (await import("./commands/volume.ts")).inspectVolumes,
    }),
    command({
      name: "rm",
      aliases: ["remove"],
      summary: "Remove volumes with their files",
      usage: "[flags] VOLUME...",
      flags: defineFlags({
        force: { kind: "switch", aliases: ["f"], summary: "One that isn't there is no error" },
      }),
      load: async () => (await import("./commands/volume.ts")).removeVolumes,
    }),
    command({
      name: "prune",
      summary: "Remove volumes that no container has",
      usage: "[flags]",
      flags: defineFlags({
        all: { kind: "switch", aliases: ["a"], summary: "Also those that have a name" },
        force: { kind: "switch", aliases: ["f"], summary: "Don't ask" },
      }),
      load: async () => (await import("./commands/volume.ts")).pruneVolumes,
    }),
  ],
};
