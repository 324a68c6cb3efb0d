#!/usr/bin/env bun
/**
 * hull, one executable under several names. What it is comes from the name that it was started by (`hulld`, `ctr`, a shim's), else from
 * its first argument. Each part is loaded only when it is the one: a shim holds nothing of the daemon in its memory.
 */
import { basename } from "node:path";

/** Runs with the arguments behind its name; gives the exit status. */
type Main = (args: readonly string[]) => Promise<number>;

const parts: Readonly<Record<string, () => Promise<Main>>> = {
  daemon: async () => (await import("@hull/daemon/main")).daemonMain,
};

/** Names of the executable that mean a part. */
const names: readonly (readonly [RegExp, string])[] = [
  [/^(hulld|containerd)$/, "daemon"],
  [/^ctr$/, "ctr"],
  [/^containerd-shim-hull/, "shim"],
  [/^hull-unpacker$/, "unpack"],
];

const [, script = "", ...args] = process.argv;
const byName = names.find(([pattern]) => pattern.test(basename(process.argv0 === "bun" ? script : process.argv0)));
const [first = "", ...rest] = args;
const part = byName?.[1] ?? first;
const load = parts[part];
if (load === undefined) {
  process.stderr.write(`hull: "${part}" is not a command: use one of ${Object.keys(parts).join(", ")}\n`);
  process.exitCode = 1;
} else {
  const main = await load();
  process.exitCode = await main(byName === undefined ? rest : args);
}
