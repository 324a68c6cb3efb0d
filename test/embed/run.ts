/**
 * Runs the cases as a program of its own, for runtimes that have no `bun test`: `run.ts FOLDER ARCHIVE`. Prints a line of JSON for each.
 */
import { cases } from "./cases.ts";

const [folder = "", archive = ""] = process.argv.slice(2);

for (const [at, { name, run }] of cases.entries()) {
  let failure: string | undefined;
  try {
    await run({ root: `${folder}/${at}`, archive });
  } catch (error) {
    failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  console.log(JSON.stringify({ name, failure }));
}
