import { dirname, join, resolve } from "node:path";
import { defaultAddress } from "@hull/client/client";
import { defaults } from "@hull/daemon/config/catalogue";
import { defineFlags, type FlagValues, type Invocation } from "../command/index.ts";

/** Flags that stand before the command. */
export const globalFlags = defineFlags({
  address: {
    kind: "text",
    aliases: ["a"],
    value: "PATH",
    env: ["HULL_ADDRESS", "CONTAINERD_ADDRESS"],
    summary: `Socket of the daemon (default: ${defaultAddress}, or hull.sock in --state)`,
  },
  namespace: {
    kind: "text",
    aliases: ["n"],
    value: "NAME",
    env: ["CONTAINERD_NAMESPACE"],
    default: "default",
    names: "namespace",
    summary: "Namespace of images and containers",
  },
  root: {
    kind: "text",
    value: "DIR",
    names: "directory",
    env: ["HULL_ROOT"],
    summary: `For a daemon that is started by itself: what survives a reboot (default: ${defaults.root})`,
  },
  state: {
    kind: "text",
    value: "DIR",
    names: "directory",
    env: ["HULL_STATE"],
    summary: `For a daemon that is started by itself: what doesn't (default: ${defaults.state})`,
  },
  snapshotter: {
    kind: "text",
    value: "NAME",
    env: ["CONTAINERD_SNAPSHOTTER"],
    default: "overlayfs",
    names: "snapshotter",
    summary: "Snapshotter that holds the file systems",
  },
  debug: { kind: "switch", aliases: ["D"], summary: "Show where an error came from" },
  version: { kind: "switch", aliases: ["v"], summary: "Print the version" },
});

export type Globals = FlagValues<typeof globalFlags>;

/** One call of a docker-like command. */
export type Call<F = unknown> = Omit<Invocation, "flags" | "globals"> & {
  readonly flags: F;
  readonly globals: Globals;
};

/** Where the daemon is that a command talks to, and where one that has to be started keeps its things. */
export interface Place {
  readonly address: string;
  readonly root: string;
  readonly state: string;
  /** True if a daemon that doesn't answer may be started: the address is hull's own, or follows from the directories given. */
  readonly startable: boolean;
}

/** What the flags and the environment say, completed. */
export function placeOf({ address, root, state }: Pick<Globals, "address" | "root" | "state">): Place {
  const own = state === undefined ? defaultAddress : join(resolve(state), "hull.sock");
  const place = address === undefined ? own : address.replace(/^unix:(\/\/)?/, "");
  return {
    address: place,
    root: resolve(root ?? defaults.root),
    state: resolve(state ?? defaults.state),
    startable: place === own && (root === undefined) === (state === undefined),
  };
}

/** Directory for the FIFOs of containers of the daemon at this address: beside its socket. */
export function fifoDirectory(address: string): string {
  return join(dirname(address), "fifo");
}

/** The flags that lead another command to the same daemon, for messages; empty for the default one. */
export function placeFlags({ address, root, state }: Place): string {
  if (address === defaultAddress) return "";
  if (address === join(state, "hull.sock")) return ` --root ${root} --state ${state}`;
  return ` --address ${address}`;
}
