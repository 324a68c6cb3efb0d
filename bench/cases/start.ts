import { createConnection } from "node:net";
import { HealthDefinition } from "@hull/api/gen/grpc/health/v1/health";
import { connectGrpc } from "@hull/client/transport/grpc";
import { hullCommand } from "../../test/support/hull.ts";
import type { Peer, peerOf } from "../peers.ts";
import type { Sample } from "../sample.ts";

/** Waits until something accepts on a unix socket. Tries every millisecond: the figure is that exact. */
async function accepts(address: string): Promise<void> {
  for (let tries = 0; tries < 20_000; tries++) {
    const connected = await new Promise<boolean>((resolve) => {
      const socket = createConnection(address, () => {
        socket.destroy();
        resolve(true);
      }).on("error", () => resolve(false));
    });
    if (connected) return;
    await Bun.sleep(1);
  }
  throw new Error(`nothing accepts on ${address}`);
}

/** Starts a daemon on the folders of a stopped peer; ms until it answers a health check. Leaves it running as a child for `stop`. */
async function startOnce(command: readonly string[], address: string): Promise<{ ms: number; stop(): Promise<void> }> {
  const start = performance.now();
  const child = Bun.spawn([...command], { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
  await accepts(address);
  const connection = await connectGrpc(address);
  await connection.client(HealthDefinition).check({ service: "" });
  const ms = performance.now() - start;
  connection.close();
  return {
    ms,
    async stop() {
      child.kill("SIGTERM");
      await child.exited;
    },
  };
}

/** The command that starts a peer's daemon on a folder, as `startHull` and `startContainerd` lay it out. */
const commandOf = (label: Peer["label"], folder: string): string[] =>
  label === "hull"
    ? [
        ...hullCommand,
        "daemon",
        "--config",
        `${folder}/config.toml`,
        "--address",
        `${folder}/hull.sock`,
        "--root",
        `${folder}/root`,
        "--state",
        `${folder}/state`,
      ]
    : ["containerd", "-c", `${folder}/config.toml`];

/** Time from start to answering, on the folders of two daemons that were stopped before. */
export async function startCase(
  name: string,
  folders: { hull: string; containerd: string },
  rounds: number,
): Promise<Sample> {
  const sample: Sample = { name, unit: "ms", hull: [], containerd: [], paired: true };
  for (let round = 0; round < rounds; round++) {
    for (const label of ["hull", "containerd"] as const) {
      const socket = label === "hull" ? "hull.sock" : "containerd.sock";
      const started = await startOnce(commandOf(label, folders[label]), `${folders[label]}/${socket}`);
      sample[label].push(started.ms);
      await started.stop();
    }
  }
  return sample;
}

/** Makes `count` container records through ctr. */
export async function makeContainers(peer: ReturnType<typeof peerOf>, image: string, count: number): Promise<void> {
  for (let number = 0; number < count; number++)
    await peer.ctr("containers", "create", image, `record-${number}`, "/bin/true");
}
