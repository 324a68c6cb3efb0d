import { type Command, command, defineFlags, type FlagValues } from "../command/index.ts";

/** Flags of `network create`. */
const createFlags = defineFlags({
  driver: { kind: "text", aliases: ["d"], value: "NAME", default: "bridge", summary: "Only bridge is known" },
  subnet: { kind: "list", value: "SUBNET", summary: "Its addresses, e.g. 10.1.2.0/24; a free one unless given" },
  gateway: { kind: "list", value: "IP", summary: "The host's address in a subnet; its first unless given" },
  "ip-range": { kind: "list", value: "SUBNET", summary: "The part of a subnet that containers get addresses of" },
  ipv6: { kind: "switch", summary: "Also addresses of IPv6" },
  internal: { kind: "switch", summary: "No way out, nor in" },
  label: { kind: "list", value: "KEY=VALUE", summary: "Set a label" },
  opt: {
    kind: "list",
    aliases: ["o"],
    value: "KEY=VALUE",
    summary: "com.docker.network.driver.mtu=BYTES, com.docker.network.bridge.name=NAME",
  },
});

export type CreateNetworkFlags = FlagValues<typeof createFlags>;

/** Why docker's flags of `network connect` aren't served. */
const byPlugin = "the network's plugin chooses addresses";
const byNames = "containers of a network find each other by name; give it an --alias";

/** `hull network …` */
export const networkCommands: Command = {
  name: "network",
  summary: "Look after networks",
  commands: [
    command({
      name: "create",
      summary: "Make a network, whose containers find each other by name",
      usage: "[flags] NETWORK",
      flags: createFlags,
      load: async () => (await import("./commands/network-create.ts")).createNetworks,
    }),
    command({
      name: "connect",
      summary: "Put a container on one more network, also while it runs",
      usage: "[flags] NETWORK CONTAINER",
      flags: defineFlags({
        alias: { kind: "list", value: "NAME", summary: "Another name for it on this network" },
        ip: { kind: "text", value: "IP", summary: "Address", supported: false, hidden: true, why: byPlugin },
        ip6: { kind: "text", value: "IP", summary: "Address of IPv6", supported: false, hidden: true, why: byPlugin },
        link: {
          kind: "list",
          value: "CONTAINER[:NAME]",
          summary: "Name for another container",
          supported: false,
          hidden: true,
          why: byNames,
        },
        "link-local-ip": {
          kind: "list",
          value: "IP",
          summary: "Address for this link alone",
          supported: false,
          hidden: true,
          why: byPlugin,
        },
        "driver-opt": {
          kind: "list",
          value: "KEY=VALUE",
          summary: "Option of a driver",
          supported: false,
          hidden: true,
          why: "networks take options when they are made",
        },
      }),
      load: async () => (await import("./commands/network-connect.ts")).connectNetwork,
    }),
    command({
      name: "disconnect",
      summary: "Take a container from a network, also while it runs",
      usage: "[flags] NETWORK CONTAINER",
      flags: defineFlags({
        force: { kind: "switch", aliases: ["f"], summary: "Also if its interface can't be taken away" },
      }),
      load: async () => (await import("./commands/network-connect.ts")).disconnectNetwork,
    }),
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
    command({
      name: "rm",
      aliases: ["remove"],
      summary: "Remove networks that hull made",
      usage: "[flags] NETWORK...",
      flags: defineFlags({
        force: { kind: "switch", aliases: ["f"], summary: "One that isn't there is no error" },
      }),
      load: async () => (await import("./commands/network-remove.ts")).removeNetworks,
    }),
    command({
      name: "prune",
      summary: "Remove networks that hull made and no container is for",
      usage: "[flags]",
      flags: defineFlags({ force: { kind: "switch", aliases: ["f"], summary: "Don't ask" } }),
      load: async () => (await import("./commands/network-remove.ts")).pruneNetworks,
    }),
  ],
};
