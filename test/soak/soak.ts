/**
 * Many containers through their lives, by workers side by side, with subscribers, watchers, pulls and collections at the same time.
 *
 *   bun test/soak/soak.ts [--lives N] [--out DIR]     2000 lives; writes soak.svg and soak.json
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { EventsDefinition } from "@hull/api/gen/containerd/services/events/v1/events";
import { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import { LeasesDefinition } from "@hull/api/gen/containerd/services/leases/v1/leases";
import { type Client, connect } from "@hull/client/client";
import { createContainer, removeContainer } from "@hull/client/containers";
import { getImage, platformImage } from "@hull/client/images";
import { deleteTask, newTask, nullIo, type Process } from "@hull/client/tasks";
import { importImages, pullImage } from "@hull/client/transfer";
import { buildSpec, defaultSpec, withArgs } from "@hull/oci/spec";
import { cgroupAt, removeCgroup } from "@hull/sys/cgroup";
import { busyboxLayer, writeBusyboxImage, writeLayout } from "../../scripts/image.ts";
import type { Daemon } from "../support/containerd.ts";
import { startHull } from "../support/hull.ts";
import { LocalRegistry, noRegistry } from "../support/registry.ts";
import { scratch } from "../support/scratch.ts";
import { type Figures, figuresOf } from "./figures.ts";
import { plot } from "./plot.ts";

export interface SoakOptions {
  readonly lives: number;
  readonly workers: number;
  /** Streams of events; a quarter more calls wait for the end of a container that runs all the time. */
  readonly subscribers: number;
  /** Milliseconds between two figures. */
  readonly interval: number;
  readonly progress?: (figures: Figures) => void;
}

export interface SoakReport {
  readonly figures: readonly Figures[];
  /** Containers whose exit status was another than the one that their program ended with. */
  readonly wrongStatus: number;
  readonly pulls: number;
  readonly collections: number;
  /** Of the last events' stream: how many exits it saw of those that were. */
  readonly exitsSeen: number;
}

const image = "docker.io/library/busybox:latest";

/** Runs it on a daemon of its own. */
export async function soak(options: SoakOptions): Promise<SoakReport> {
  using folder = scratch();
  const namespace = basename(folder.path);
  await using daemon = await startHull(folder.path);
  using _ = { [Symbol.dispose]: () => removeCgroup(cgroupAt(`/${namespace}`)) };
  await using client = await connect({ address: daemon.address, namespace });
  const archive = folder.join("busybox.tar");
  writeBusyboxImage(archive, image);
  await importImages(client, Bun.file(archive).stream(), { unpack: "overlayfs" });
  await using registry = noRegistry === undefined ? await LocalRegistry.start(folder.join("registry")) : undefined;
  const remote = registry === undefined ? undefined : await pushOne(registry, folder.join("layout"));

  const run = new Soak(client, daemon, options, remote);
  return await run.run();
}

async function pushOne(registry: LocalRegistry, layout: string): Promise<string> {
  writeLayout(layout, [{ name: "soak/busybox:1", layers: [{ tar: busyboxLayer(), compression: "zstd" }] }]);
  await registry.push(layout, "soak/busybox:1");
  return `${registry.host}/soak/busybox:1`;
}

class Soak {
  readonly #client: Client;
  readonly #daemon: Daemon;
  readonly #options: SoakOptions;
  readonly #remote: string | undefined;
  readonly #over = new AbortController();
  readonly #figures: Figures[] = [];
  readonly #began = performance.now();
  #lives = 0;
  #wrongStatus = 0;
  #pulls = 0;
  #collections = 0;
  #exitsSeen = 0;

  constructor(client: Client, daemon: Daemon, options: SoakOptions, remote: string | undefined) {
    this.#client = client;
    this.#daemon = daemon;
    this.#options = options;
    this.#remote = remote;
  }

  async run(): Promise<SoakReport> {
    const { workers, subscribers, interval, progress } = this.#options;
    const lasting = await this.#start("lasting", ["/bin/sleep", "100000"]);
    const take = (): void => {
      const figures = figuresOf(this.#daemon, { at: this.#began, lives: this.#lives });
      this.#figures.push(figures);
      progress?.(figures);
    };
    take();
    const listening = Array.from({ length: subscribers }, () => this.#listen());
    const waiting = Array.from({ length: Math.ceil(subscribers / 4) }, () => lasting.wait());
    const timer = setInterval(take, interval);
    const beside = [this.#pullAgain(), this.#collectAgain()];
    try {
      await Promise.all(Array.from({ length: workers }, (_, number) => this.#work(number)));
    } finally {
      clearInterval(timer);
      this.#over.abort();
    }
    await Promise.all(beside);
    await Promise.all(listening);
    await deleteTask(lasting, { force: true });
    await Promise.all(waiting);
    // At rest: what the last lives left behind has been put away.
    await Bun.sleep(3000);
    take();
    return {
      figures: this.#figures,
      wrongStatus: this.#wrongStatus,
      pulls: this.#pulls,
      collections: this.#collections,
      exitsSeen: this.#exitsSeen,
    };
  }

  async #work(worker: number): Promise<void> {
    for (let turn = 0; this.#lives < this.#options.lives; turn++) {
      this.#lives++;
      const status = turn % 100;
      const process = await this.#start(`life-${worker}-${turn}`, ["/bin/sh", "-c", `exit ${status}`]);
      const exit = await process.wait();
      if (exit.status !== status) this.#wrongStatus++;
      await process.delete();
      await removeContainer(this.#client, {
        ...emptyContainer,
        id: process.containerId,
        snapshotKey: process.containerId,
      });
    }
  }

  async #start(id: string, args: readonly string[]): Promise<Process> {
    const container = await createContainer(this.#client, {
      id,
      runtime: { name: "io.containerd.runc.v2" },
      rootfs: {
        image: await platformImage(this.#client, (await getImage(this.#client, image)).target),
        imageName: image,
        snapshotter: "overlayfs",
      },
      spec: () => buildSpec(defaultSpec({ namespace: this.#client.namespace, id }), withArgs(args)),
    });
    const process = await newTask(this.#client, container, nullIo);
    await process.start();
    return process;
  }

  /** Each on a connection of its own, as clients are. */
  async #listen(): Promise<void> {
    await using client = await connect({ address: this.#daemon.address, namespace: this.#client.namespace });
    let exits = 0;
    try {
      const stream = client
        .service(EventsDefinition)
        .subscribe({ filters: [`topic=="/tasks/exit"`] }, { signal: this.#over.signal });
      for await (const _ of stream) exits++;
    } catch (error) {
      if (!this.#over.signal.aborted) throw error;
    }
    this.#exitsSeen = exits;
  }

  async #pullAgain(): Promise<void> {
    const remote = this.#remote;
    while (remote !== undefined && !this.#over.signal.aborted) {
      await pullImage(this.#client, remote, { unpack: "overlayfs", plainHttp: true });
      await this.#client.service(ImagesDefinition).delete({ name: remote, sync: true });
      this.#pulls++;
    }
  }

  async #collectAgain(): Promise<void> {
    const leases = this.#client.service(LeasesDefinition);
    while (!this.#over.signal.aborted) {
      await leases.create({ id: "soak", labels: {} });
      await leases.delete({ id: "soak", sync: true });
      this.#collections++;
      await Bun.sleep(500);
    }
  }
}

const emptyContainer = {
  labels: {},
  image: "",
  runtime: undefined,
  spec: undefined,
  snapshotter: "overlayfs",
  createdAt: undefined,
  updatedAt: undefined,
  extensions: {},
  sandbox: "",
};

/**
 * How much more was held in the last tenth of the lives than in the tenth after the first quarter, by then everything has been used once:
 * the medians' difference.
 */
export function growth(figures: readonly Figures[], key: "daemonRss" | "daemonDescriptors" | "shimRss"): number {
  const part = (from: number, to: number): number => {
    const values = figures
      .slice(Math.floor(figures.length * from), Math.ceil(figures.length * to))
      .map((entry) => entry[key])
      .sort((a, b) => a - b);
    return values[Math.floor(values.length / 2)] ?? Number.NaN;
  };
  return part(0.9, 1) - part(0.25, 0.35);
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { lives: { type: "string", default: "2000" }, out: { type: "string", default: "bench/results" } },
  });
  const lives = Number(values.lives);
  let last = 0;
  const report = await soak({
    lives,
    workers: 4,
    subscribers: 200,
    interval: 1000,
    progress: (figures) => {
      if (figures.lives - last < lives / 20 && figures.lives < lives) return;
      last = figures.lives;
      const { daemonRss, daemonDescriptors, shims, shimRss } = figures;
      console.error(
        `soak: ${figures.lives} of ${lives} lives after ${figures.at.toFixed(0)} s; daemon ${daemonRss.toFixed(1)} MiB, ` +
          `${daemonDescriptors} descriptors; ${shims} shims, the largest ${shimRss.toFixed(1)} MiB`,
      );
    },
  });
  mkdirSync(values.out, { recursive: true });
  writeFileSync(join(values.out, "soak.json"), `${JSON.stringify(report, undefined, 2)}\n`);
  writeFileSync(join(values.out, "soak.svg"), plot(report.figures));
  const { wrongStatus, pulls, collections, exitsSeen } = report;
  console.log(`${lives} lives, ${pulls} pulls, ${collections} collections; ${wrongStatus} wrong exit statuses`);
  console.log(`a subscriber saw ${exitsSeen} exits`);
  for (const key of ["daemonRss", "daemonDescriptors", "shimRss"] as const) {
    console.log(`growth of ${key} from the second quarter to the end: ${growth(report.figures, key).toFixed(1)}`);
  }
  console.log(`plot: ${join(values.out, "soak.svg")}`);
}
