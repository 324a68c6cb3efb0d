import { defineFlags } from "../../command/index.ts";

/** Flags of `run` and `create` that mount something. */
export const mountFlags = defineFlags({
  volume: {
    kind: "list",
    aliases: ["v"],
    value: "[HOST|NAME:]PATH[:ro]",
    summary: "Mount a file or directory of the host, or a volume",
  },
  mount: {
    kind: "list",
    value: "KEY=VALUE,…",
    summary: "The same in keys and values: type=volume|bind|tmpfs, source, target, readonly, …",
  },
  "volumes-from": {
    kind: "list",
    value: "CONTAINER[:ro]",
    names: "container",
    summary: "Mount the volumes and binds of another container",
  },
  tmpfs: { kind: "list", value: "PATH[:OPTIONS]", summary: "Mount memory" },
});
