import type { Peer } from "../peers.ts";
import { type Sample, timed } from "../sample.ts";

/** A daemon that has served for a while is compared: the JavaScript engine has compiled by then what is used most. */
const warmUp = 20;
/** What a run leaves for later (the removal of its files, say) is not to be in the next one's time. */
const pauseMs = 50;

/** Times `run --rm IMAGE /bin/true`, turn by turn and in turns first, through one kind of client with these flags. */
export async function runCase(
  name: string,
  peers: { hull: Peer; containerd: Peer },
  options: { image: string; rounds: number; client: "ctr" | "own"; flags: readonly string[]; target?: number },
): Promise<Sample> {
  const once = (peer: Peer, round: number) =>
    timed(() => peer[options.client]("run", "--rm", ...options.flags, options.image, `run-${round}`, "/bin/true"));
  const sample: Sample = { name, unit: "ms", hull: [], containerd: [], paired: true, target: options.target };
  for (let round = 0; round < warmUp; round++) {
    await once(peers.hull, round);
    await once(peers.containerd, round);
  }
  for (let round = warmUp; round < warmUp + options.rounds; round++) {
    // Each goes first as often: neither always meets what the other left behind.
    const order = round % 2 === 0 ? [peers.hull, peers.containerd] : [peers.containerd, peers.hull];
    for (const peer of order) {
      await Bun.sleep(pauseMs);
      sample[peer.label].push(await once(peer, round));
    }
  }
  return sample;
}
