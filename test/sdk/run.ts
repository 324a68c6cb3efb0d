/**
 * Runs the cases as a program of its own, for runtimes that have no `bun test`:
 *
 *   node run.ts daemon ADDRESS ARCHIVE
 *   node run.ts engine ROOT ARCHIVE
 *
 * Prints a line of JSON for each case.
 */
import { connect, type Hull } from "@hull/client";
import { cases } from "./cases.ts";

const [kind, place = "", archive = ""] = process.argv.slice(2);

async function open(): Promise<Hull> {
  if (kind === "daemon") return await connect({ address: place });
  const { Engine } = await import("@hull/embed");
  const plugins = { "io.containerd.runtime.v2.task": { oci_runtime: "runc" } };
  return await Engine.open({ root: `${place}/root`, state: `${place}/state`, containers: "end", plugins });
}

await using hull = await open();
for (const { name, run } of cases) {
  let failure: string | undefined;
  try {
    await run({ hull, archive });
  } catch (error) {
    failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  console.log(JSON.stringify({ name, failure }));
}
