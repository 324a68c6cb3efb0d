/**
 * `npm run build`: one executable, `dist/hull`, which is the daemon, the CLI, `ctr`, the shim and the unpacker.
 *
 * Bytecode spares the parsing at every start; the parts are loaded apart (`--splitting`). An `.env` or `bunfig.toml` of the folder that
 * a user happens to be in means nothing to it.
 *
 * The shim, of which there is one for each container or pod, is bundled by itself first: in common with the other parts it would be cut into
 * four times as many modules, which take 0.2 MB of each one's memory.
 *
 *   node scripts/build.mjs [OUT]     somewhere else than dist/hull
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { bun, ensureNpmPackages, project, run } from "./setup.mjs";

ensureNpmPackages();
const output = resolve(process.argv[2] ?? `${project}/dist/hull`);
// Renamed into its place when it is whole: a daemon that runs keeps the file it was started from.
const unfinished = `${output}.${process.pid}`;
mkdirSync(dirname(output), { recursive: true });
const common = ["--target=bun", "--format=esm", "--splitting", "--minify"];
const defines = ["--define", "HULL_EXECUTABLE=true", "--define", `HULL_REVISION=${JSON.stringify(revision())}`];
const shim = mkdtempSync(join(tmpdir(), "hull-build-"));
try {
  run(bun, ["build", "packages/shim/src/main.ts", ...common, ...defines, `--outdir=${shim}`]);
  const paths = { "@hull/shim/main": [join(shim, "main.js")] };
  const config = { extends: join(project, "tsconfig.json"), compilerOptions: { paths } };
  writeFileSync(join(shim, "tsconfig.json"), JSON.stringify(config));
  run(bun, [
    "build",
    "packages/cli/src/main.ts",
    "--compile",
    ...common,
    ...defines,
    "--bytecode",
    "--no-compile-autoload-dotenv",
    "--no-compile-autoload-bunfig",
    `--tsconfig-override=${join(shim, "tsconfig.json")}`,
    `--outfile=${unfinished}`,
  ]);
} finally {
  rmSync(shim, { recursive: true, force: true });
}
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
