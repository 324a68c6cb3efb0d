/** The face for programs, under Bun and Node, on hull's daemon, the real containerd and an engine in the program. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { connect, type Hull } from "@hull/client";
import { Engine } from "@hull/embed";
import { writeBusyboxImage } from "../../scripts/image.ts";
import { containerds, noContainerd, startContainerd } from "../support/containerd.ts";
import { startHull } from "../support/hull.ts";
import { node, nodeEnvironment, noNode } from "../support/node.ts";
import { runProgram } from "../support/process.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { cases } from "./cases.ts";

const lacking = noContainerd;
const noProgram = lacking ?? noNode;

const plugins = { "io.containerd.runtime.v2.task": { oci_runtime: "runc" } };

/** A way to a Hull, on folders of its own. */
type Way = readonly [name: string, open: (folder: Scratch, stack: AsyncDisposableStack) => Promise<Hull>];

const ways: readonly Way[] = [
  [
    "hull's daemon",
    async (folder, stack) => {
      const daemon = stack.use(
        await startHull(folder.path, '[plugins."io.containerd.runtime.v2.task"]\noci_runtime = "runc"\n'),
      );
      return stack.use(await connect({ address: daemon.address }));
    },
  ],
  ...containerds.map(
    ({ name, command }): Way => [
      `the real ${name}`,
      async (folder, stack) => {
        const daemon = stack.use(await startContainerd(folder.path, { command }));
        return stack.use(await connect({ address: daemon.address }));
      },
    ],
  ),
  [
    "an engine in the program",
    async (folder, stack) =>
      stack.use(
        await Engine.open({ root: folder.join("root"), state: folder.join("state"), containers: "end", plugins }),
      ),
  ],
];

for (const [name, open] of ways) {
  const suite = lacking === undefined ? describe : describe.skip;
  suite(`a program on ${name}${lacking === undefined ? "" : ` (skipped: ${lacking})`}`, () => {
    const stack = new AsyncDisposableStack();
    let folder: Scratch;
    let hull: Hull;
    beforeAll(async () => {
      folder = stack.use(scratch());
      writeBusyboxImage(folder.join("busybox.tar"), "docker.io/library/busybox:latest");
      hull = await open(folder, stack);
    });
    afterAll(() => stack.disposeAsync());
    for (const { name: what, run } of cases) test(what, () => run({ hull, archive: folder.join("busybox.tar") }));
  });
}

describe.if(noProgram === undefined)(
  `a program under Node${noProgram === undefined ? "" : ` (skipped: ${noProgram})`}`,
  () => {
    for (const kind of ["daemon", "engine"])
      test(`on ${kind === "daemon" ? "hull's daemon" : "an engine of its own"}`, async () => {
        await using stack = new AsyncDisposableStack();
        const folder = stack.use(scratch());
        const archive = folder.join("busybox.tar");
        writeBusyboxImage(archive, "docker.io/library/busybox:latest");
        const place =
          kind === "daemon" ? stack.use(await startHull(folder.join("daemon"))).address : folder.join("engine");
        const { status, stdout, stderr } = await runProgram(
          [node ?? "", join(import.meta.dir, "run.ts"), kind, place, archive],
          { env: nodeEnvironment, timeoutMs: 280_000 },
        );
        const results = stdout
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line) as { name: string; failure?: string });
        expect(results.filter(({ failure }) => failure !== undefined)).toEqual([]);
        expect(results.map(({ name }) => name)).toEqual(cases.map(({ name }) => name));
        expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      }, 300_000);
  },
);
