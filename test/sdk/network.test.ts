/** Containers of programs on networks: each program, with its daemon, in a network namespace of the test's own. */
import { expect, test } from "bun:test";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { writeBusyboxImage } from "../../scripts/image.ts";
import { containerds, startContainerd } from "../support/containerd.ts";
import { startHull } from "../support/hull.ts";
import { type NetworkNamespace, noNetworks, openNetworkNamespace } from "../support/network-namespace.ts";
import { node, nodeEnvironment, noNode } from "../support/node.ts";
import { runProgram } from "../support/process.ts";
import { scratch } from "../support/scratch.ts";

const runc = '[plugins."io.containerd.runtime.v2.task"]\noci_runtime = "runc"\n';
const bun = [process.execPath];

interface Way {
  readonly name: string;
  readonly why: string | undefined;
  readonly runtime: readonly string[];
  /** Starts the daemon below a folder, and gives its address; without one the program has an engine. */
  start?(folder: string, network: NetworkNamespace): Promise<{ address: string } & AsyncDisposable>;
}

const ways: readonly Way[] = [
  {
    name: "hull's daemon",
    why: noNetworks,
    runtime: bun,
    start: (folder, { behind }) => startHull(folder, runc, { behind }),
  },
  ...containerds.map(
    ({ name, command }): Way => ({
      name: `the real ${name}`,
      why: noNetworks,
      runtime: bun,
      start: (folder, { behind }) => startContainerd(folder, { behind, command }),
    }),
  ),
  { name: "an engine in the program", why: noNetworks, runtime: bun },
  { name: "an engine in a program under Node", why: noNetworks ?? noNode, runtime: [node ?? ""] },
];

for (const { name, why, runtime, start } of ways)
  test.skipIf(why !== undefined)(
    `networks by ${name}${why === undefined ? "" : ` (skipped: ${why})`}`,
    async () => {
      await using stack = new AsyncDisposableStack();
      const folder = stack.use(scratch());
      const network = stack.use(await openNetworkNamespace());
      // Whoever is in a user namespace has to reach what is below.
      chmodSync(folder.path, 0o711);
      const archive = folder.join("busybox.tar");
      writeBusyboxImage(archive, "docker.io/library/busybox:latest");
      const daemon = await start?.(folder.join("daemon"), network);
      if (daemon !== undefined) stack.use(daemon);
      const place = daemon?.address ?? folder.join("engine");
      const program = join(import.meta.dir, "network-program.ts");
      const { status, stdout, stderr } = await runProgram(
        [...network.behind, ...runtime, program, daemon === undefined ? "engine" : "daemon", place, archive],
        {
          env: { ...nodeEnvironment, HULL_SUBNET: network.subnet, HULL_SUBNET6: network.subnet6, TMPDIR: folder.path },
        },
      );
      expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "all well\n", stderr: "" });
    },
    300_000,
  );
