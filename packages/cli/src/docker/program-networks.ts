import { type Command, command, defineFlags } from "../command/index.ts";

/** `hull network …`: making and removing one is writing and removing a configuration of CNI. */
export const networkCommands: Command = {
  name: "network",
  summary: "Look at networks",
  commands: [
    command({
      name: "ls",
      aliases: ["list"],
      summary: "List networks",
      usage: "[flags]",
      flags: defineFlags({
        quiet: { kind: "switch", aliases: ["q"], summary: "Names alone" },
        format: { kind: "text", value: "FORMAT", summary: "json, a template of Go, or table TEMPLATE" },
      }),
      load: async () => (await import("./commands/network.ts")).listNetworks,
    }),
    command({
      name: "inspect",
      summary: "Print all about networks as JSON",
      usage: "[flags] NETWORK...",
      flags: defineFlags({
        format: { kind: "text", aliases: ["f"], value: "FORMAT", summary: "json, or a template of Go" },
      }),
      load: async () => (await import("./commands/network.ts")).inspectNetworks,
    }),
  ],
};
