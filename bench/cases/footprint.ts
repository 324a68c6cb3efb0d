import { executable, makeUserProject } from "../../test/packages/user-project.ts";
import { startContainerd } from "../../test/support/containerd.ts";
import { startHull } from "../../test/support/hull.ts";
import type { Scratch } from "../../test/support/scratch.ts";
import { figure, type Table } from "../report.ts";
import { figuresOf, runtimes } from "../runtimes.ts";
import { median } from "../sample.ts";

/** Milliseconds since the program's start, and MiB. */
interface Footprint {
  readonly loaded: number;
  readonly opened: number;
  readonly called: number;
  readonly resident: number;
}

/** Times from the start of the program; what it takes is read when it has had a moment to come to rest. */
const measured = (open: string): string => `
const options = JSON.parse(process.argv[2]);
const loaded = performance.now();
const hull = await ${open};
const opened = performance.now();
await hull.images.list();
const called = performance.now();
await new Promise((resolve) => setTimeout(resolve, 300));
console.log(JSON.stringify({ loaded, opened, called, resident: process.memoryUsage.rss() / 2 ** 20 }));
await hull[Symbol.asyncDispose]();
`;

/** Start and memory of programs that have the packages installed as users have them. */
export async function footprintCase(folder: Scratch, rounds: number): Promise<Table> {
  const project = await makeUserProject(folder.path);
  const engine = project.write(
    "engine.mjs",
    `import { Engine } from "@hull/engine";${measured("Engine.open(options)")}`,
  );
  const client = project.write("client.mjs", `import { connect } from "@hull/client";${measured("connect(options)")}`);
  const bare = project.write("bare.mjs", measured("{ images: { list() {} }, async [Symbol.asyncDispose]() {} }"));
  await using hull = await startHull(folder.join("fh"));
  await using containerd = await startContainerd(folder.join("fc"));
  process.env.HULL_EXECUTABLE = executable;
  const rows: string[][] = [];
  for (const runtime of runtimes) {
    const measure = async (name: string, module: string, optionsOf: (round: number) => object) => {
      const all: Footprint[] = [];
      for (let round = 0; round < rounds; round++) all.push(await figuresOf(runtime, module, optionsOf(round)));
      const parts = (["loaded", "opened", "called", "resident"] as const).map((part) =>
        figure(median(all.map((one) => one[part]))),
      );
      rows.push([name, runtime.name, ...parts]);
    };
    const place = (name: string) => ({ root: folder.join(name, "root"), state: folder.join(name, "state") });
    const own = runtime.name.split(" ")[0] ?? "";
    await measure("an empty program", bare, () => ({}));
    await measure("engine on an empty root", engine, (round) => place(`${own}-${round}`));
    await measure("engine on a root that is there", engine, () => place(`${own}-0`));
    await measure("client of hull's daemon", client, () => ({ address: hull.address }));
    await measure("client of containerd", client, () => ({ address: containerd.address }));
  }
  return {
    title:
      "From a program's start until its modules are loaded, it is open, a first call has been answered (ms); memory (MiB)",
    header: ["program", "runtime", "loaded", "open", "first call", "resident"],
    rows,
  };
}
