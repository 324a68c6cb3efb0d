import { defineFlags } from "../command/index.ts";
import { limitFlags } from "./limit-flags.ts";

/** Flags of `run` and `create` for devices, limits and namespaces of the host. */
export const hostFlags = defineFlags({
  ...limitFlags,
  device: {
    kind: "list",
    value: "PATH[:PATH[:rwm]]|NAME",
    summary: "A device of the host, or a CDI device by its name, vendor/class=name",
  },
  gpus: { kind: "text", value: "all|device=N,…", summary: "GPUs, by their vendor's CDI devices" },
  ulimit: { kind: "list", value: "NAME=SOFT[:HARD]", summary: "Limit of a process, e.g. nofile=1024:4096" },
  sysctl: { kind: "list", value: "NAME=VALUE", summary: "Set a parameter of the kernel, for the container alone" },
  annotation: { kind: "list", value: "KEY=VALUE", summary: "Note for the OCI runtime" },
  "group-add": { kind: "list", value: "GROUP", summary: "Another group to run with, by name or number" },
  "shm-size": { kind: "text", value: "SIZE", summary: "Size of /dev/shm; 64m unless given" },
  "memory-swappiness": { kind: "integer", value: "0-100", summary: "How readily its memory is swapped" },
  "oom-score-adj": { kind: "integer", value: "NUMBER", summary: "How readily it is killed for memory, -1000 to 1000" },
  "rdt-class": { kind: "text", value: "NAME", summary: "Class of service for cache and memory bandwidth" },
  "cgroup-parent": { kind: "text", value: "PATH", summary: "Control group that its own is made in" },
  pid: { kind: "text", value: "host", summary: "Sees the processes of the host" },
  ipc: { kind: "text", value: "host", summary: "Shares memory and queues with the host" },
  uts: { kind: "text", value: "host", summary: "Has the host's name" },
});
