/** `npm run soak`: 2,000 lives of containers with everything else at the same time; see test/soak/soak.ts. Arguments are passed on. */
import { bun, prepareWithPeers, run } from "./setup.mjs";

prepareWithPeers();
run(bun, ["test/soak/soak.ts", ...process.argv.slice(2)]);
