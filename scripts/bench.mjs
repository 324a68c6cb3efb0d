/** `npm run bench`: sets up what the benchmark takes, then runs it. Arguments are passed on. */
import { bun, prepareWithPeers, run } from "./setup.mjs";

prepareWithPeers();
run(bun, ["bench/main.ts", ...process.argv.slice(2)]);
