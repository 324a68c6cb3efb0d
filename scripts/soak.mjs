/** `npm run soak`: 2,000 lives of containers with everything else at the same time; see test/soak/soak.ts. Arguments are passed on. */
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
run(bun, ["test/soak/soak.ts", ...process.argv.slice(2)]);
