import { defineFlags, type FlagValues } from "../command/index.ts";
import { healthFlags } from "./health-flags.ts";
import { hostFlags } from "./host-flags.ts";
import { nameFlags } from "./network/files.ts";
import { mountFlags } from "./volumes/flags.ts";

/** Flags of `run` and `create`. Those that are known and not served yet are named, so that using one is a clear error. */
export const runFlags = defineFlags({
  interactive: { kind: "switch", aliases: ["i"], summary: "Connect stdin" },
  tty: { kind: "switch", aliases: ["t"], summary: "Give it a terminal" },
  detach: { kind: "switch", aliases: ["d"], summary: "Run in the background and print the id" },
  rm: { kind: "switch", summary: "Remove the container when it ends" },
  name: { kind: "text", value: "NAME", summary: "Name of the container; two random words unless given" },
  env: { kind: "list", aliases: ["e"], value: "NAME[=VALUE]", summary: "Set a variable" },
  "env-file": { kind: "list", value: "FILE", summary: "Set the variables of a file" },
  ...mountFlags,
  workdir: { kind: "text", aliases: ["w"], value: "DIR", summary: "Directory to start in" },
  user: { kind: "text", aliases: ["u"], value: "USER[:GROUP]", summary: "User to run as, by name or number" },
  entrypoint: { kind: "text", value: "PROGRAM", summary: "Program in place of the image's entry point" },
  hostname: { kind: "text", aliases: ["h"], value: "NAME", summary: "Host name; the id unless given" },
  label: { kind: "list", aliases: ["l"], value: "KEY=VALUE", summary: "Set a label" },
  "read-only": { kind: "switch", summary: "Mount the root file system read-only" },
  privileged: { kind: "switch", summary: "All capabilities and devices, no confinement" },
  "cap-add": { kind: "list", value: "NAME", summary: "Add a capability" },
  "cap-drop": { kind: "list", value: "NAME", summary: "Drop a capability, or ALL" },
  memory: { kind: "text", aliases: ["m"], value: "SIZE", summary: "Limit of memory, e.g. 512m" },
  cpus: { kind: "number", value: "NUMBER", summary: "Limit of processor time, e.g. 1.5" },
  "pids-limit": { kind: "integer", value: "NUMBER", summary: "Limit of processes" },
  network: {
    kind: "text",
    aliases: ["net"],
    value: "NAME",
    env: ["HULL_NETWORK"],
    names: "network",
    summary:
      "none (nothing but loopback; the default without -p), host (the host's own), bridge (a bridge of the host), or another network of CNI",
  },
  runtime: { kind: "text", value: "NAME", summary: "OCI runtime (runc, crun, or a path), or a shim's name" },
  pull: {
    kind: "text",
    value: "POLICY",
    default: "missing",
    summary: "When to pull the image: missing, always or never",
  },
  "plain-http": { kind: "switch", summary: "Pull over HTTP without TLS" },
  quiet: { kind: "switch", aliases: ["q"], summary: "No progress of a pull" },
  "stop-signal": { kind: "text", value: "SIGNAL", summary: "Signal that asks it to end" },
  "stop-timeout": { kind: "integer", value: "SECONDS", summary: "Time to end before it is killed" },
  "security-opt": { kind: "list", value: "OPTION", summary: "seccomp=unconfined, no-new-privileges, apparmor=PROFILE" },
  "storage-opt": {
    kind: "list",
    value: "size=SIZE",
    summary: "Limit of what it may write to its root file system, e.g. size=1g",
  },
  publish: {
    kind: "list",
    aliases: ["p"],
    value: "[[IP:]PORT:]PORT",
    summary: "Lead a port of the host to one of the container",
  },
  restart: {
    kind: "text",
    value: "POLICY",
    default: "no",
    summary: "Start it again when it ends: no, always, unless-stopped, or on-failure[:RETRIES]",
  },
  "log-opt": {
    kind: "list",
    value: "KEY=VALUE",
    summary:
      "Of the log that hull logs shows: max-size=SIZE (10m) begins it anew at a size, max-file=N (5) keeps so many",
  },
  ...nameFlags,
  ...hostFlags,
  ...healthFlags,
  init: {
    kind: "switch",
    summary: "Put an init in front, that passes signals on and reaps processes (the host's tini or catatonit)",
  },
  platform: {
    kind: "text",
    value: "PLATFORM",
    summary: "The image for another platform, as linux/arm64; that it runs is the kernel's affair (binfmt_misc)",
  },
});

export type RunFlags = FlagValues<typeof runFlags>;
