import { type Command, command, defineFlags } from "../command/index.ts";

const changeFlags = defineFlags({
  change: {
    kind: "list",
    aliases: ["c"],
    value: "INSTRUCTION",
    summary: "Change what it runs, as a line of a Dockerfile does, e.g. 'CMD [\"sh\"]'",
  },
  message: { kind: "text", aliases: ["m"], value: "TEXT", summary: "Comment in its history" },
});

/** Commands that make archives and images of containers, and images of archives. */
export const archiveCommands: readonly Command[] = [
  command({
    name: "commit",
    summary: "Make an image of a container",
    usage: "[flags] CONTAINER [NAME]",
    flags: defineFlags({
      ...changeFlags,
      author: { kind: "text", aliases: ["a"], value: "NAME", summary: "Who made it" },
      pause: { kind: "switch", aliases: ["p"], summary: "Hold the container still for the time, unless --pause=false" },
    }),
    load: async () => (await import("./commands/archive.ts")).commit,
  }),
  command({
    name: "diff",
    summary: "List what a container has changed of its image",
    description: "Lists files that a container has added (A), changed (C) and deleted (D).",
    usage: "CONTAINER",
    load: async () => (await import("./commands/archive.ts")).diffContainer,
  }),
  command({
    name: "export",
    summary: "Write a container's file system as an archive",
    usage: "[flags] CONTAINER",
    flags: defineFlags({
      output: { kind: "text", aliases: ["o"], value: "FILE", summary: "The archive; the standard output unless given" },
    }),
    load: async () => (await import("./commands/archive.ts")).exportContainer,
  }),
];

export const importCommand: Command = command({
  name: "import",
  summary: "Make an image of an archive of files",
  usage: "[flags] FILE|- [NAME]",
  flags: defineFlags({
    ...changeFlags,
    platform: { kind: "text", value: "PLATFORM", summary: "What it is for, as linux/arm64; this machine" },
  }),
  load: async () => (await import("./commands/archive.ts")).importFiles,
});
