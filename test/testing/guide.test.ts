/** The programs in the guide, run by Node with a daemon that has their images. */
import { expect, test } from "bun:test";
import { createReadStream, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "@hull/client";
import { snippetsOf } from "../packages/snippets.ts";
import { startHull } from "../support/hull.ts";
import { noNetworks, openNetworkNamespace } from "../support/network-namespace.ts";
import { node, nodeEnvironment, noNode } from "../support/node.ts";
import { runProgram } from "../support/process.ts";
import { scratch } from "../support/scratch.ts";
import { debianImage, postgres, redis } from "./debian-image.ts";

const images = noNetworks === undefined ? [debianImage(redis), debianImage(postgres)] : [];
const [noImage] = images.flatMap((image) => ("lacking" in image ? [image.lacking] : []));
const why = noNetworks ?? noNode ?? noImage;

test.skipIf(why !== undefined)(
  `the programs of the guide print what it says${why === undefined ? "" : ` (skipped: ${why})`}`,
  async () => {
    await using stack = new AsyncDisposableStack();
    const folder = stack.use(scratch());
    const network = stack.use(await openNetworkNamespace());
    const daemon = stack.use(await startHull(folder.join("daemon"), "", { behind: network.behind }));
    await using hull = await connect({ address: daemon.address });
    for (const image of images) if ("archive" in image) await hull.images.import(createReadStream(image.archive));
    symlinkSync(join(import.meta.dir, "../../node_modules"), folder.join("node_modules"));
    writeFileSync(folder.join("package.json"), '{ "type": "module" }');
    const snippets = snippetsOf("docs/guides/testing.md");
    expect(snippets.length).toBeGreaterThan(5);
    const env = {
      ...nodeEnvironment,
      HULL_ADDRESS: daemon.address,
      HULL_SUBNET: network.subnet,
      NETCONFPATH: folder.join("cni"),
      TMPDIR: folder.path,
    };
    const results = await Promise.all(
      snippets.map(async ({ file, code, line }) => {
        writeFileSync(folder.join(file), code);
        const { status, stdout, stderr } = await runProgram([...network.behind, node ?? "", folder.join(file)], {
          env,
        });
        // Node's test runner reports to whom it may concern.
        const output = code.includes('"node:test"') ? "" : stdout;
        return { line, status, output, stderr };
      }),
    );
    expect(results).toEqual(snippets.map(({ line, output }) => ({ line, status: 0, output, stderr: "" })));
  },
);
