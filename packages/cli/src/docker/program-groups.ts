import { type Command, command, defineFlags } from "../command/index.ts";
import { containerCommands } from "./program-containers.ts";
import { imageCommands } from "./program-images.ts";

/** `hull container …`: the commands for containers once more, and others that are only here. */
export const containerGroup: Command = {
  name: "container",
  summary: "Look after containers",
  commands: [
    ...containerCommands.map((each) => (each.name === "ps" ? { ...each, name: "ls", aliases: ["list", "ps"] } : each)),
    command({
      name: "prune",
      summary: "Remove containers that don't run",
      usage: "[flags]",
      flags: defineFlags({ force: { kind: "switch", aliases: ["f"], summary: "Don't ask" } }),
      load: async () => (await import("./commands/prune.ts")).containerPrune,
    }),
  ],
};

/** `hull image …` */
export const imageGroup: Command = {
  name: "image",
  summary: "Look after images",
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
};
