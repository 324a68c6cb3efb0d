/** `npm run bench`: sets up what the benchmark takes, then runs it. Arguments are passed on. */
import { bun, ensureDockerUnpacked, prepareWithPeers, run } from "./setup.mjs";

const wanted = process.argv.slice(2).join(" ");
prepareWithPeers();
if (!wanted.includes("--only") || wanted.includes("rates")) process.env.HULL_DOCKER_PREFIX ??= ensureDockerUnpacked();
run(bun, ["bench/main.ts", ...process.argv.slice(2)]);
