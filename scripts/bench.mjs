/** `npm run bench`: sets up what the benchmark takes, then runs it. Arguments are passed on. */
import {
  bun,
  ensureBuilt,
  ensureDebianPackages,
  ensureNpmPackages,
  peerPackages,
  run,
  runtimePackages,
} from "./setup.mjs";

ensureNpmPackages();
ensureDebianPackages({ ...runtimePackages, ...peerPackages });
process.env.HULL_EXECUTABLE = ensureBuilt();
run(bun, ["bench/main.ts", ...process.argv.slice(2)]);
