import { type Command, command, defineFlags } from "../command/index.ts";

/** Commands that show what containers are and do. */
export const lookCommands: readonly Command[] = [
  command({
    name: "ps",
    summary: "List containers",
    usage: "[flags]",
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
    name: "logs",
    summary: "Print what a container wrote in the background",
    description:
      "The container of a pod goes by [NAMESPACE/]POD/CONTAINER; by NAMESPACE/POD if it is the pod's only one.",
    usage: "[flags] CONTAINER",
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
    name: "inspect",
    summary: "Print all about containers, images or pods as JSON",
    description:
      "A pod goes by its id, NAMESPACE/NAME or name. What is a container or an image too is that, unless --type says pod.",
    usage: "[flags] CONTAINER|IMAGE|POD...",
    flags: defineFlags({
      type: { kind: "text", value: "TYPE", choices: ["container", "image", "pod"], summary: "container, image or pod" },
      format: { kind: "text", aliases: ["f"], value: "FORMAT", summary: "json, or a template of Go for each" },
    }),
    load: async () => (await import("./commands/inspect.ts")).inspect,
  }),
  command({
    name: "port",
    summary: "Print the published ports of a container",
    usage: "CONTAINER [PORT[/PROTOCOL]]",
    load: async () => (await import("./commands/port.ts")).port,
  }),
  command({
    name: "top",
    summary: "List the processes of a container",
    usage: "CONTAINER [PS OPTION...]",
    stopAtArgument: true,
    load: async () => (await import("./commands/top.ts")).top,
  }),
  command({
    name: "stats",
    summary: "Show what containers use, once a second",
    usage: "[flags] [CONTAINER...]",
    flags: defineFlags({
      all: { kind: "switch", aliases: ["a"], summary: "Also those that don't run" },
      "no-stream": { kind: "switch", summary: "Once" },
      "no-trunc": { kind: "switch", summary: "Don't cut ids" },
      format: { kind: "text", value: "FORMAT", summary: "json, a template of Go, or table TEMPLATE" },
    }),
    load: async () => (await import("./commands/stats.ts")).stats,
  }),
];
