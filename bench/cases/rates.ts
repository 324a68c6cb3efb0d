import { writeFileSync } from "node:fs";
import { busyboxLayer } from "../../scripts/image.ts";
import { DockerEngine, noDocker } from "../../test/clients/docker.ts";
import { removeLeftovers } from "../../test/support/leftovers.ts";
import type { Scratch } from "../../test/support/scratch.ts";
import { startPeers } from "../peers.ts";
import type { WayIn } from "../programs/rates.ts";
import { figure, type Table } from "../report.ts";
import { program, type Runtime, runtimes } from "../runtimes.ts";
import { type Abreast, abreast, quantile } from "../sample.ts";

export interface RatesOptions {
  readonly archive: string;
  /** Name of the image in it. */
  readonly image: string;
  /** Lives by each way in, and so many of them at a time. */
  readonly count: number;
  readonly workers: number;
  /** For what the lives of one turn leave to be done, before the next turn. */
  readonly restMs: number;
}

/** Makes so many lives: a container, `/bin/true` in it to its end, and no container. `first` is the number of the first. */
type Lives = (count: number, first: number) => Promise<Abreast>;

/** Lives of which none is counted, before those that are. */
const warmUp = 16;
/** The ways take turns this often: what else the machine does meets them all. */
const turns = 5;

const command = ["/bin/true"];

/**
 * Lives of containers, several at a time: by an engine in a program, by hull's daemon and a real containerd through the client library, by the real
 * `ctr`, and, where Debian's docker.io is there, by dockerode. All by runc, without streams and without a network.
 */
export async function ratesCase(folder: Scratch, options: RatesOptions): Promise<Table> {
  await using stack = new AsyncDisposableStack();
  const { archive, image, workers } = options;
  const peers = stack.use(
    await startPeers(folder.join("r"), '[plugins."io.containerd.runtime.v2.task"]\noci_runtime = "runc"\n'),
  );
  const ways: { name: string; runtime: string; lives: Lives }[] = [];
  const addProgram = async (name: string, runtime: Runtime, way: WayIn, ofImage = image): Promise<void> => {
    const driven = stack.use(await Driven.start(runtime, { ...way, image: ofImage, workers }));
    ways.push({ name, runtime: runtime.name, lives: (count, first) => driven.turn(count, first) });
  };
  for (const [at, runtime] of runtimes.entries()) {
    const own = folder.join(`e${at}`);
    await addProgram("engine in the program", runtime, {
      way: "engine",
      root: `${own}/root`,
      state: `${own}/state`,
      archive,
    });
  }
  for (const { label, daemon } of [peers.hull, peers.containerd])
    for (const runtime of runtimes)
      await addProgram(`${label}, @hull/client`, runtime, { way: "client", address: daemon.address, archive });
  const ctr = (number: number) => peers.containerd.ctr("run", "--rm", "--null-io", image, `rate-${number}`, ...command);
  ways.push({
    name: "containerd, ctr run --rm",
    runtime: "Go",
    lives: (count, first) => abreast(ctr, { count, first, workers }),
  });
  const newest = runtimes.at(-1);
  if (noDocker === undefined && newest !== undefined) {
    const docker = stack.use(new DockerEngine(folder.join("d"), peers.containerd.daemon.address, "/hull-bench-docker"));
    stack.defer(() => removeLeftovers("hull-bench-docker"));
    const address = folder.join("d", "docker.sock");
    await addProgram("dockerd, dockerode", newest, { way: "dockerode", address }, await startDocker(docker, folder));
  }
  const figures = ways.map((way) => ({ ...way, ms: 0, latencies: [] as number[] }));
  let number = 0;
  for (let turn = -1; turn < turns; turn++) {
    for (const way of figures) {
      const count = turn < 0 ? warmUp : Math.ceil(options.count / turns);
      const { ms, latencies } = await way.lives(count, number);
      number += count;
      if (turn >= 0) {
        way.ms += ms;
        way.latencies.push(...latencies);
      }
      await Bun.sleep(options.restMs);
    }
  }
  return {
    title: `${options.count} lives of containers, ${workers} at a time: how many a second, and the milliseconds of one`,
    header: ["way in", "runtime", "per s", "p50", "p95"],
    rows: figures.map(({ name, runtime, ms, latencies }) => [
      name,
      runtime,
      ...[(latencies.length * 1000) / ms, quantile(latencies, 0.5), quantile(latencies, 0.95)].map(figure),
    ]),
  };
}

/** A program that makes lives when it is told to: `programs/rates.ts`. */
class Driven implements AsyncDisposable {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: AsyncGenerator<string, void, undefined>;

  private constructor(command: readonly string[]) {
    this.#child = Bun.spawn([...command], { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
    this.#lines = linesOf(this.#child.stdout);
  }

  static async start(runtime: Runtime, options: object): Promise<Driven> {
    const driven = new Driven([runtime.command, program("rates"), JSON.stringify(options)]);
    try {
      await driven.#line();
      return driven;
    } catch (error) {
      await driven[Symbol.asyncDispose]();
      throw error;
    }
  }

  async turn(count: number, first: number): Promise<Abreast> {
    this.#child.stdin.write(`${count} ${first}\n`);
    await this.#child.stdin.flush();
    return JSON.parse(await this.#line()) as Abreast;
  }

  async #line(): Promise<string> {
    const { value } = await this.#lines.next();
    if (value === undefined) throw new Error(`a program of the benchmark ended with ${await this.#child.exited}`);
    return value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stdin.end();
    await this.#child.exited;
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    const lines = (text + decoder.decode(chunk, { stream: true })).split("\n");
    text = lines.pop() ?? "";
    yield* lines;
  }
}

/** Gives the name of its image. */
async function startDocker(docker: DockerEngine, folder: Scratch): Promise<string> {
  await docker.start();
  const layer = folder.join("layer.tar");
  const name = "busybox:rates";
  writeFileSync(layer, busyboxLayer());
  await docker.must("import", "--change", "ENV PATH=/bin", layer, name);
  return name;
}
