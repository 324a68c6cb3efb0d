/**
 * Runs the cases as a program of its own, for runtimes that have no `bun test`:
 *
 *   node run.ts daemon ADDRESS ARCHIVE
 *   node run.ts engine ROOT ARCHIVE
 *
 * Prints a line of JSON for each case.
 */
import { cases } from "./cases.ts";
import { openHull } from "./open.ts";

const [kind, place = "", archive = ""] = process.argv.slice(2);

await using hull = await openHull(kind, place);
for (const { name, run } of cases) {
  let failure: string | undefined;
  try {
    await run({ hull, archive });
  } catch (error) {
    failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  console.log(JSON.stringify({ name, failure }));
}
