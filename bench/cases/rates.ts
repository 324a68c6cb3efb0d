import { createReadStream, writeFileSync } from "node:fs";
import { connect } from "@hull/client";
import { Engine, type Hull } from "@hull/embed";
import Docker from "dockerode";
import { busyboxLayer } from "../../scripts/image.ts";
import { DockerEngine, noDocker } from "../../test/clients/docker.ts";
import { removeLeftovers } from "../../test/support/leftovers.ts";
import type { Scratch } from "../../test/support/scratch.ts";
import { startPeers } from "../peers.ts";
import { figure, type Table } from "../report.ts";
import { median, timed } from "../sample.ts";

export interface RatesOptions {
  readonly archive: string;
  /** Name of the image in it. */
  readonly image: string;
  /** Lives through each way in, and so many of them at a time. */
  readonly count: number;
  readonly workers: number;
}

/** A way in: makes a container, runs /bin/true in it to its end, and takes it away. */
type WayIn = readonly [name: string, live: (number: number) => Promise<void>];

/** Lives of which none is counted, before those that are. */
const warmUp = 16;
/** The ways take turns this often: what else the machine does meets them all. */
const turns = 5;

const command = ["/bin/true"];
const runtime = { "io.containerd.runtime.v2.task": { oci_runtime: "runc" } };

/**
 * Lives of containers, several at a time: by an engine in this process, by hull's daemon and a real containerd through the client library, by
 * the real `ctr`, and, where Debian's docker.io is installed, by dockerode. All by runc, without streams and without a network.
 */
export async function ratesCase(folder: Scratch, options: RatesOptions): Promise<Table> {
  await using stack = new AsyncDisposableStack();
  const { archive, image } = options;
  const peers = stack.use(
    await startPeers(folder.join("r"), '[plugins."io.containerd.runtime.v2.task"]\noci_runtime = "runc"\n'),
  );
  const engine = stack.use(
    await Engine.open({
      root: folder.join("e", "root"),
      state: folder.join("e", "state"),
      containers: "end",
      plugins: runtime,
    }),
  );
  const daemon = stack.use(await connect({ address: peers.hull.daemon.address }));
  const containerd = stack.use(await connect({ address: peers.containerd.daemon.address }));
  for (const hull of [engine, daemon, containerd]) await hull.images.import(createReadStream(archive));
  const ctr = (number: number) => peers.containerd.ctr("run", "--rm", "--null-io", image, `rate-${number}`, ...command);
  const ways: WayIn[] = [
    ["engine in the program", (number) => byHull(engine, image, number)],
    ["hull's daemon, @hull/client", (number) => byHull(daemon, image, number)],
    ["containerd, @hull/client", (number) => byHull(containerd, image, number)],
    ["containerd, ctr run --rm", async (number) => void (await ctr(number))],
  ];
  if (noDocker === undefined) {
    const docker = stack.use(new DockerEngine(folder.join("d"), peers.containerd.daemon.address, "/hull-bench-docker"));
    stack.defer(() => removeLeftovers("hull-bench-docker"));
    ways.push(["dockerd, dockerode", await byDocker(docker, folder)]);
  }
  const figures = ways.map(([name]) => ({ name, ms: 0, latencies: [] as number[] }));
  let number = 0;
  for (const [, live] of ways) await lives(live, { ...options, count: warmUp, next: () => number++ });
  for (let turn = 0; turn < turns; turn++) {
    for (const [at, [, live]] of ways.entries()) {
      const sum = figures[at];
      if (sum === undefined) continue;
      const count = Math.ceil(options.count / turns);
      sum.ms += await timed(async () => {
        sum.latencies.push(...(await lives(live, { ...options, count, next: () => number++ })));
      });
    }
  }
  return {
    title: `${options.count} lives of containers, ${options.workers} at a time: how many a second, and the milliseconds of one`,
    header: ["way in", "per s", "median", "95 of 100"],
    rows: figures.map(({ name, ms, latencies }) => {
      const late = latencies.toSorted((a, b) => a - b)[Math.floor(latencies.length * 0.95)] ?? Number.NaN;
      return [name, ...[(latencies.length * 1000) / ms, median(latencies), late].map(figure)];
    }),
  };
}

/** Gives the milliseconds of each. */
async function lives(
  live: WayIn[1],
  { count, workers, next }: { count: number; workers: number; next: () => number },
): Promise<number[]> {
  const latencies: number[] = [];
  let begun = 0;
  const worker = async () => {
    while (begun++ < count) latencies.push(await timed(() => live(next())));
  };
  await Promise.all(Array.from({ length: workers }, worker));
  return latencies;
}

async function byHull(hull: Hull, image: string, number: number): Promise<void> {
  const quiet = { stdout: "ignore", stderr: "ignore" } as const;
  await using container = await hull.run(image, { id: `life-${number}`, command, ...quiet });
  const { code } = await container.exit;
  if (code !== 0) throw new Error(`container "${container.id}" ended with ${code}`);
}

async function byDocker(docker: DockerEngine, folder: Scratch): Promise<WayIn[1]> {
  await docker.start();
  const layer = folder.join("layer.tar");
  const name = "busybox:rates";
  writeFileSync(layer, busyboxLayer());
  await docker.must("import", "--change", "ENV PATH=/bin", layer, name);
  const client = new Docker({ socketPath: folder.join("d", "docker.sock") });
  const host = { NetworkMode: "none", LogConfig: { Type: "none" } };
  return async () => {
    const container = await client.createContainer({ Image: name, Cmd: command, HostConfig: host });
    await container.start();
    const { StatusCode } = await container.wait();
    if (StatusCode !== 0) throw new Error(`a container of Docker ended with ${StatusCode}`);
    await container.remove();
  };
}
