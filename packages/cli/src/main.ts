#!/usr/bin/env bun
/**
 * hull, one executable under several names. What it is comes from the name that it was started by (`hulld`, `ctr`, a shim's), else from
 * its first argument. Each part is loaded only when it is the one: a shim holds nothing of the daemon in its memory.
 */
import { basename } from "node:path";
import { selfCommand } from "@hull/engine/self";

/** Runs with the arguments behind its name; gives the exit status, or undefined to go on until it ends itself. */
type Main = (args: readonly string[]) => Promise<number | undefined>;

const parts: Readonly<Record<string, () => Promise<Main>>> = {
  daemon: async () => (await import("@hull/daemon/main")).daemonMain,
  config: async () => {
    const { daemonMain } = await import("@hull/daemon/main");
    return (args) => daemonMain(["config", ...args]);
  },
  ctr: async () => (await import("./ctr/main.ts")).ctrMain,
  namespaces: async () => (await import("@hull/cri/pods/namespace-helper")).namespaceHelperMain,
  "network-hook": async () => (await import("@hull/client/network/hook")).networkHook,
  shim: async () => {
    const { shimMain } = await import("@hull/shim/main");
    return (args) => shimMain(args, selfCommand("shim"));
  },
  unpack: async () => {
    const { runUnpacker } = await import("@hull/engine/diff/unpacker/main");
    return async (args) => {
      await runUnpacker(args);
      return undefined;
    };
  },
  sync: async () => (await import("@hull/engine/snapshots/sync-main")).runSync,
  "checkpoint-metadata": async () => (await import("@hull/engine/metadata/checkpoint-main")).runCheckpoint,
  pack: async () => {
    const { runPacker } = await import("@hull/engine/diff/packer/main");
    return async (args) => {
      await runPacker(args);
      return undefined;
    };
  },
};

/** Names of the executable that mean a part. */
const names: readonly (readonly [RegExp, string])[] = [
  [/^(hulld|containerd)$/, "daemon"],
  [/^ctr$/, "ctr"],
  [/^containerd-shim-hull/, "shim"],
  [/^hull-unpacker$/, "unpack"],
];

const [, , ...args] = process.argv;
const byName = names.find(([pattern]) => pattern.test(basename(process.argv0)));
const [first = "", ...rest] = args;
const part = byName?.[1] ?? first;
// Which daemon is meant may be said by the environment, as to all other commands, which know how to read it.
const isOfADaemon =
  (part === "daemon" && rest[0] === "stop") || (part === "ctr" && process.env.HULL_STATE !== undefined);
const load = byName === undefined && isOfADaemon ? undefined : parts[part];
const main = load === undefined ? await dockerMain() : await load();
const status = await main(byName === undefined && load !== undefined ? rest : args);
if (status !== undefined) process.exitCode = status;

/** The docker-like commands, which are everything else; the other parts are in their help. */
async function dockerMain(): Promise<Main> {
  const { hullMain } = await import("./docker/main.ts");
  return hullMain(parts);
}
