/** `npm run faults [SEED…]`: 50 kills of the daemon, 30 amid pods, and 20 losses of power at random moments, for each seed; see test/faults and test/power-loss. */
import { bun, prepareWithPeers, run } from "./setup.mjs";

prepareWithPeers();
const [seeds, areas] = [
  process.argv.slice(2),
  Object.entries({ "test/faults/kills.test.ts": "50", "test/faults/pods.test.ts": "30", "test/power-loss": "20" }),
];
for (const seed of seeds.length === 0 ? ["1"] : seeds) {
  for (const [area, rounds] of areas) {
    const env = { ...process.env, HULL_ROUNDS: rounds, HULL_SEED: seed };
    run(bun, ["test", `./${area}`, "--timeout", "1800000"], { env });
  }
}
