import type { Peer } from "../peers.ts";
import { type Sample, timed } from "../sample.ts";

/** Times `run --rm IMAGE /bin/true`, turn by turn, through one kind of client with these flags. */
export async function runCase(
  name: string,
  peers: { hull: Peer; containerd: Peer },
  options: { image: string; rounds: number; client: "ctr" | "own"; flags: readonly string[]; target?: number },
): Promise<Sample> {
  const once = (peer: Peer, round: number) =>
    timed(() => peer[options.client]("run", "--rm", ...options.flags, options.image, `run-${round}`, "/bin/true"));
  const sample: Sample = { name, unit: "ms", hull: [], containerd: [], target: options.target };
  // One round that doesn't count: files not in the page cache yet, spare processes not started yet.
  await once(peers.hull, 0);
  await once(peers.containerd, 0);
  for (let round = 1; round <= options.rounds; round++) {
    sample.hull.push(await once(peers.hull, round));
    sample.containerd.push(await once(peers.containerd, round));
  }
  return sample;
}
