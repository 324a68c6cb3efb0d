/** What test suites have containers for: a Redis and a PostgreSQL, as Debian packs them. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { noNetworks, openNetworkNamespace } from "../support/network-namespace.ts";
import { nodeEnvironment } from "../support/node.ts";
import { runProgram } from "../support/process.ts";
import { scratch } from "../support/scratch.ts";
import { debianImage, postgres, redis } from "./debian-image.ts";
import { ways } from "./ways.ts";

const images = noNetworks === undefined ? [debianImage(redis), debianImage(postgres)] : [];
const archives = images.flatMap((image) => ("archive" in image ? [image.archive] : []));
const [noImage] = images.flatMap((image) => ("lacking" in image ? [image.lacking] : []));

// The images are large: a daemon, and an engine, are enough.
const two = ways.filter((_, at) => at === 0 || at === ways.length - 1);
for (const { name, why: lacking, runtime, start } of two) {
  const why = noNetworks ?? lacking ?? noImage;
  const skipped = why === undefined ? "" : ` (skipped: ${why})`;
  test.skipIf(why !== undefined)(`a Redis and a PostgreSQL for a test suite, by ${name}${skipped}`, async () => {
    await using stack = new AsyncDisposableStack();
    const folder = stack.use(scratch());
    const network = stack.use(await openNetworkNamespace());
    const daemon = await start?.(folder.join("daemon"), network);
    if (daemon !== undefined) stack.use(daemon);
    const program = join(import.meta.dir, "examples-program.ts");
    const { status, stdout, stderr } = await runProgram(
      [...network.behind, ...runtime, program, daemon?.address ?? "engine", ...archives],
      {
        env: { ...nodeEnvironment, HULL_SUBNET: network.subnet, TMPDIR: folder.path, NETCONFPATH: folder.join("cni") },
      },
    );
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "all well\n", stderr: "" });
  });
}
