/**
 * Runs the cases as a program of its own, for runtimes that have no `bun test`: `node run.ts ADDRESS NAMESPACE NAME…`. Prints a line of JSON
 * for each case.
 */
import { connect } from "@hull/client";
import { cases } from "./cases.ts";

const [address = "", namespace = "", ...names] = process.argv.slice(2);
await using hull = await connect({ address, namespace });
for (const { name, run } of cases.filter((one) => names.includes(one.name))) {
  let failure: string | undefined;
  try {
    await run(hull);
  } catch (error) {
    failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  console.log(JSON.stringify({ name, failure }));
}
