import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { writeBusyboxImage } from "../../scripts/image.ts";
import { noContainerd } from "../support/containerd.ts";
import { startHull } from "../support/hull.ts";
import { node, nodeEnvironment, noNode } from "../support/node.ts";
import { runProgram } from "../support/process.ts";
import { scratch } from "../support/scratch.ts";

const runtimes = { Bun: process.execPath, Node: node };

describe.if(noContainerd === undefined)(
  `a connection that nobody closes${noContainerd === undefined ? "" : ` (skipped: ${noContainerd})`}`,
  () => {
    for (const [name, runtime] of Object.entries(runtimes))
      test.skipIf(runtime === undefined)(
        `does not keep a program of ${name} from ending${runtime === undefined ? ` (skipped: ${noNode})` : ""}`,
        async () => {
          await using stack = new AsyncDisposableStack();
          const folder = stack.use(scratch());
          writeBusyboxImage(folder.join("busybox.tar"), "docker.io/library/busybox:latest");
          const daemon = stack.use(await startHull(folder.join("d")));
          const program = join(import.meta.dir, "undisposed.ts");
          const command = [runtime ?? "", program, daemon.address, folder.join("busybox.tar")];
          const outcome = await runProgram(command, { env: nodeEnvironment, timeoutMs: 90_000 });
          expect(outcome).toEqual({ status: 0, stdout: "0\n", stderr: "" });
        },
      );
  },
);
