import { type Daemon, startContainerd } from "../test/support/containerd.ts";
import { hullCommand, startHull } from "../test/support/hull.ts";
import { runProgram } from "../test/support/process.ts";

/** One of the two that are compared. */
export interface Peer extends AsyncDisposable {
  readonly label: "hull" | "containerd";
  readonly daemon: Daemon;
  /** Runs the real `ctr` against it. @throws Error with its output if it fails */
  ctr(...args: string[]): Promise<string>;
  /** Runs its own low-level command line against it. */
  own(...args: string[]): Promise<string>;
}

async function must(command: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await runProgram(command, { timeoutMs: 300_000 });
  if (status !== 0) throw new Error(`${command.join(" ")}: status ${status}\n${stdout}${stderr}`);
  return stdout;
}

/** A peer around a daemon that runs. */
export function peerOf(label: Peer["label"], daemon: Daemon): Peer {
  const ctr = ["ctr", "--address", daemon.address];
  const own = label === "hull" ? [...hullCommand, "ctr", "--address", daemon.address] : ctr;
  return {
    label,
    daemon,
    ctr: (...args) => must([...ctr, ...args]),
    own: (...args) => must([...own, ...args]),
    [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
  };
}

/** Starts both on folders below `folder`. */
export async function startPeers(
  folder: string,
  hullConfig = "",
): Promise<{ hull: Peer; containerd: Peer } & AsyncDisposable> {
  const containerd = peerOf("containerd", await startContainerd(`${folder}/c`));
  const hull = peerOf("hull", await startHull(`${folder}/h`, hullConfig));
  return {
    hull,
    containerd,
    async [Symbol.asyncDispose]() {
      await hull[Symbol.asyncDispose]();
      await containerd[Symbol.asyncDispose]();
    },
  };
}
