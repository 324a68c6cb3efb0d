import { defineFlags } from "../command/index.ts";

/** Flags of `update`. */
export const updateFlags = defineFlags({
  restart: { kind: "text", value: "POLICY", summary: "no, always, unless-stopped, or on-failure[:RETRIES]" },
  memory: { kind: "text", aliases: ["m"], value: "SIZE", summary: "Limit of memory, e.g. 512m" },
  "memory-reservation": { kind: "text", value: "SIZE", summary: "Memory that is left to it when memory is short" },
  "memory-swap": { kind: "text", value: "SIZE", summary: "Limit of memory and swap together; -1: none" },
  cpus: { kind: "number", value: "NUMBER", summary: "Limit of processor time, e.g. 1.5" },
  "cpu-shares": { kind: "integer", value: "NUMBER", summary: "Relative weight of processor time" },
  "cpu-period": { kind: "integer", value: "MICROSECONDS", summary: "Over which processor time is counted" },
  "cpu-quota": { kind: "integer", value: "MICROSECONDS", summary: "Of processor time in a period; -1: no limit" },
  "cpuset-cpus": { kind: "text", value: "LIST", summary: "Processors to run on, e.g. 0-2,4" },
  "cpuset-mems": { kind: "text", value: "LIST", summary: "Memory nodes to use" },
  "pids-limit": { kind: "integer", value: "NUMBER", summary: "Limit of processes; -1: none" },
  "blkio-weight": { kind: "integer", value: "NUMBER", summary: "Relative weight of block I/O, 10 to 1000" },
});
