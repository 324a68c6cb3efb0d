import { type Command, command, defineFlags } from "../command/index.ts";
import { importCommand } from "./program-archives.ts";

/** Commands for images and registries. */
export const imageCommands: readonly Command[] = [
  command({
    name: "pull",
    summary: "Fetch images from a registry",
    usage: "[flags] IMAGE...",
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
    flags: defineFlags({
      input: { kind: "text", aliases: ["i"], value: "FILE", summary: "The archive; the standard input unless given" },
      quiet: { kind: "switch", aliases: ["q"], summary: "Print ids alone" },
    }),
    load: async () => (await import("./commands/images.ts")).load,
  }),
  importCommand,
  command({
    name: "save",
    summary: "Write images to an archive that load reads, and docker load",
    usage: "[flags] IMAGE...",
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
    load: async () => (await import("./commands/login.ts")).logout,
  }),
  command({
    name: "tag",
    summary: "Give an image another name",
    usage: "IMAGE NAME",
    load: async () => (await import("./commands/images.ts")).tag,
  }),
  command({
    name: "rmi",
    summary: "Remove images",
    usage: "[flags] IMAGE...",
    flags: defineFlags({ force: { kind: "switch", aliases: ["f"], summary: "Also one that a container uses" } }),
    load: async () => (await import("./commands/images.ts")).rmi,
  }),
];
