/** The engine in a program: its root, its containers and its end, under Bun and under Node. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { writeBusyboxImage } from "../../scripts/image.ts";
import { noContainerd } from "../support/containerd.ts";
import { node, nodeEnvironment, nodeName, noNode } from "../support/node.ts";
import { runProgram } from "../support/process.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { cases } from "./cases.ts";

const why = noContainerd;
const whyNot = (reason: string | undefined): string => (reason === undefined ? "" : ` (skipped: ${reason})`);

describe.skipIf(why !== undefined)(`an engine in a program under Bun${whyNot(why)}`, () => {
  let folder: Scratch;
  beforeAll(() => {
    folder = scratch();
    writeBusyboxImage(folder.join("busybox.tar"));
  });
  afterAll(() => folder[Symbol.dispose]());
  for (const [at, { name, run }] of cases.entries())
    test(name, () => run({ root: folder.join(String(at)), archive: folder.join("busybox.tar") }), 120_000);
});

test.skipIf((why ?? noNode) !== undefined)(
  `an engine in a program under ${nodeName}${whyNot(why ?? noNode)}`,
  async () => {
    using folder = scratch();
    writeBusyboxImage(folder.join("busybox.tar"));
    const { status, stdout, stderr } = await runProgram(
      [node ?? "", join(import.meta.dir, "run.ts"), folder.path, folder.join("busybox.tar")],
      { env: nodeEnvironment, timeoutMs: 580_000 },
    );
    const results = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { name: string; failure?: string });
    expect(results.filter(({ failure }) => failure !== undefined)).toEqual([]);
    expect(results.map(({ name }) => name)).toEqual(cases.map(({ name }) => name));
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  },
  600_000,
);
