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
const load = parts[part];
if (load === undefined) {
  process.stderr.write(`hull: "${part}" is not a command: use one of ${Object.keys(parts).join(", ")}\n`);
  process.exitCode = 1;
} else {
  const main = await load();
  const status = await main(byName === undefined ? rest : args);
  if (status !== undefined) process.exitCode = status;
}
