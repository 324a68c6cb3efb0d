import type { Peer } from "../peers.ts";
import { type Sample, timed } from "../sample.ts";

/** Creates, starts, kills, waits for and deletes `count` containers with `workers` side by side, by ctr. Gives lives a second. */
async function rate(
  peer: Peer,
  image: string,
  count: number,
  workers: number,
  flags: readonly string[],
): Promise<number> {
  let next = 0;
  const worker = async () => {
    for (;;) {
      const number = next++;
      if (number >= count) return;
      const id = `life-${workers}-${number}`;
      await peer.ctr("run", "-d", "--null-io", ...flags, image, id, "/bin/sleep", "600");
      await peer.ctr("tasks", "rm", "--force", id);
      await peer.ctr("containers", "rm", id);
    }
  };
  const ms = await timed(() => Promise.all(Array.from({ length: workers }, worker)));
  return (count * 1000) / ms;
}

/** The rate of whole lives of containers. */
export async function lifecycleCase(
  peers: { hull: Peer; containerd: Peer },
  options: { image: string; count: number; workers: number; rounds: number; flags: readonly string[] },
): Promise<Sample> {
  const workers = options.workers === 1 ? "1 worker" : `${options.workers} workers`;
  const sample: Sample = { name: `create, start, stop, delete: ${workers}`, unit: "per s", hull: [], containerd: [] };
  for (let round = 0; round < options.rounds; round++) {
    sample.hull.push(await rate(peers.hull, options.image, options.count, options.workers, options.flags));
    sample.containerd.push(await rate(peers.containerd, options.image, options.count, options.workers, options.flags));
  }
  return sample;
}
