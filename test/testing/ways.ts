import { type Daemon, noContainerd, startContainerd } from "../support/containerd.ts";
import { startHull } from "../support/hull.ts";
import type { NetworkNamespace } from "../support/network-namespace.ts";
import { node, noNode } from "../support/node.ts";

/** Runtimes and daemons that test suites run with. */
export interface Way {
  readonly name: string;
  /** Why it can't be had here. */
  readonly why: string | undefined;
  readonly runtime: readonly string[];
  /** Starts the daemon; without one there is an engine in the program. */
  start?(folder: string, network: NetworkNamespace): Promise<Daemon>;
}

const runc = '[plugins."io.containerd.runtime.v2.task"]\noci_runtime = "runc"\n';
const bun = [process.execPath];

export const ways: readonly Way[] = [
  {
    name: "hull's daemon",
    why: undefined,
    runtime: bun,
    start: (folder, { behind }) => startHull(folder, runc, { behind }),
  },
  {
    name: "the real containerd",
    why: noContainerd,
    runtime: bun,
    start: (folder, { behind }) => startContainerd(folder, { behind }),
  },
  { name: "an engine in the process", why: undefined, runtime: bun },
  { name: "an engine in a process of Node", why: noNode, runtime: [node ?? ""] },
];
