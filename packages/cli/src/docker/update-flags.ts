import { defineFlags } from "../command/index.ts";
import { limitFlags } from "./limit-flags.ts";

/** Flags of `update`. */
export const updateFlags = defineFlags({
  restart: { kind: "text", value: "POLICY", summary: "no, always, unless-stopped, or on-failure[:RETRIES]" },
  memory: { kind: "text", aliases: ["m"], value: "SIZE", summary: "Limit of memory, e.g. 512m" },
  ...limitFlags,
  cpus: { kind: "number", value: "NUMBER", summary: "Limit of processor time, e.g. 1.5" },
  "pids-limit": { kind: "integer", value: "NUMBER", summary: "Limit of processes; -1: none" },
});
