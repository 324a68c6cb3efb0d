import { VersionDefinition } from "@hull/api/gen/containerd/services/version/v1/version";
import { connectGrpc } from "@hull/client/transport/grpc";
import type { Peer } from "../peers.ts";
import { type Sample, timed } from "../sample.ts";

/** Round trips of a call that does nothing (Version), one after the other on one connection. */
export async function latencyCase(peers: { hull: Peer; containerd: Peer }, calls: number): Promise<Sample> {
  const sample: Sample = { name: "unary call, round trip", unit: "ms", hull: [], containerd: [] };
  const batch = 100;
  const run = async (peer: Peer) => {
    const connection = await connectGrpc(peer.daemon.address);
    const version = connection.client(VersionDefinition);
    for (let call = 0; call < batch; call++) await version.version({});
    for (let round = 0; round < calls / batch; round++) {
      const ms = await timed(async () => {
        for (let call = 0; call < batch; call++) await version.version({});
      });
      sample[peer.label].push(ms / batch);
    }
    connection.close();
  };
  await run(peers.hull);
  await run(peers.containerd);
  return sample;
}
