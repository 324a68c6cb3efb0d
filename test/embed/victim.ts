/**
 * A program with an engine, for tests to watch and to kill:
 *
 *   victim.ts ROOT CONTAINERS hold               holds the engine open
 *   victim.ts ROOT CONTAINERS close              closes it at once, and ends
 *   victim.ts ROOT CONTAINERS start              starts the container "left", and holds
 *   victim.ts ROOT CONTAINERS work ARCHIVE       imports, runs and removes containers without end
 *
 * It says the number of the process in "left", or 0, when it has come so far.
 */
import { createReadStream } from "node:fs";
import { openEngine } from "./open.ts";

const [root = "", containers, what, archive = ""] = process.argv.slice(2);

const hull = await openEngine(root, containers === "end" ? "end" : "keep");
let pid = 0;
switch (what) {
  case "close":
    await hull[Symbol.asyncDispose]();
    break;
  case "start":
    ({ pid } = await hull.run("busybox", {
      id: "left",
      command: ["sleep", "1000"],
      stdout: "ignore",
      stderr: "ignore",
    }));
    break;
  case "work":
    for (const id of ["a", "b", "c"]) void work(id);
    break;
  default:
}
console.log(pid);

async function work(id: string): Promise<never> {
  for (;;) {
    if (id === "a") await hull.images.import(createReadStream(archive));
    await using container = await hull.run("busybox", { id, command: ["sh", "-c", "echo hello >/file; cat /file"] });
    await using exec = await container.exec(["true"]).catch(() => undefined);
    await container.collect();
    await exec?.exit;
  }
}
