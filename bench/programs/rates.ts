/**
 * Lives of containers by one way in, as many and as often as the benchmark asks for. Runs under Bun and Node.
 *
 *   bun bench/programs/rates.ts '{"way": "client", "address": "/run/hull/hull.sock", "image": …, "workers": 8}'
 *
 * Prints `ready`. For each line of its input, the number of lives and that of the first (`40 120`), it makes these and prints what they took
 * as JSON (`Abreast`). It goes when its input ends, so that it does not outlast who started it.
 */
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { connect } from "@hull/client";
import { Engine, type Hull } from "@hull/embed";
import type Docker from "dockerode";
import { abreast } from "../sample.ts";

/** How containers are run: by an engine in this process, or by a daemon. */
export type WayIn =
  | { readonly way: "engine"; readonly root: string; readonly state: string; readonly archive: string }
  | { readonly way: "client"; readonly address: string; readonly archive: string }
  | { readonly way: "dockerode"; readonly address: string };

export type RatesOptions = WayIn & { readonly image: string; readonly workers: number };

const options = JSON.parse(process.argv[2] ?? "") as RatesOptions;
const { image, workers } = options;
const command = ["/bin/true"];

async function byHull(hull: Hull, number: number): Promise<void> {
  const quiet = { stdout: "ignore", stderr: "ignore" } as const;
  await using container = await hull.run(image, { id: `life-${number}`, command, ...quiet });
  const { code } = await container.exit;
  if (code !== 0) throw new Error(`container "${container.id}" ended with ${code}`);
}

async function byDocker(docker: Docker): Promise<void> {
  const host = { NetworkMode: "none", LogConfig: { Type: "none" } };
  const container = await docker.createContainer({ Image: image, Cmd: command, HostConfig: host });
  await container.start();
  const { StatusCode } = await container.wait();
  if (StatusCode !== 0) throw new Error(`a container of Docker ended with ${StatusCode}`);
  await container.remove();
}

/** Makes ready what the lives take. */
async function openWay(stack: AsyncDisposableStack): Promise<(number: number) => Promise<void>> {
  if (options.way === "dockerode") {
    const { default: Docker } = await import("dockerode");
    const docker = new Docker({ socketPath: options.address });
    return () => byDocker(docker);
  }
  const hull = stack.use(
    options.way === "client"
      ? await connect({ address: options.address })
      : await Engine.open({
          root: options.root,
          state: options.state,
          containers: "end",
          plugins: { "io.containerd.runtime.v2.task": { oci_runtime: "runc" } },
        }),
  );
  await hull.images.import(createReadStream(options.archive));
  return (number) => byHull(hull, number);
}

await using stack = new AsyncDisposableStack();
const live = await openWay(stack);
console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
  const [count = 0, first = 0] = line.split(" ").map(Number);
  console.log(JSON.stringify(await abreast(live, { count, first, workers })));
}
