/**
 * `npm run build`: one executable, `dist/hull`, which is the daemon, the CLI, `ctr`, the shim and the unpacker.
 *
 * Bytecode spares the parsing at every start; the parts are loaded apart (`--splitting`). An `.env` or `bunfig.toml` of the folder that
 * a user happens to be in means nothing to it.
 *
 *   node scripts/build.mjs [OUT]     somewhere else than dist/hull
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, renameSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { bun, ensureNpmPackages, project, run } from "./setup.mjs";

ensureNpmPackages();
const output = resolve(process.argv[2] ?? `${project}/dist/hull`);
// Renamed into its place when it is whole: a daemon that runs keeps the file it was started from.
const unfinished = `${output}.${process.pid}`;
mkdirSync(dirname(output), { recursive: true });
run(bun, [
  "build",
  "packages/cli/src/main.ts",
  "--compile",
  "--target=bun",
  "--format=esm",
  "--splitting",
  "--minify",
  "--bytecode",
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
  "--define",
  "HULL_EXECUTABLE=true",
  "--define",
  `HULL_REVISION=${JSON.stringify(revision())}`,
  `--outfile=${unfinished}`,
]);
renameSync(unfinished, output);

/** The commit that is built, with a mark if files differ from it; empty outside of a repository. */
function revision() {
  try {
    const options = { cwd: project, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] };
    const commit = execFileSync("git", ["rev-parse", "HEAD"], options).trim();
    const changed = execFileSync("git", ["status", "--porcelain", "--untracked-files=no"], options) !== "";
    return changed ? `${commit}.m` : commit;
  } catch {
    return "";
  }
}
