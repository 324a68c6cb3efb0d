/**
 * What containers and pods use: processor, memory, swap, pressure, tasks, traffic, disk.
 *
 *   a call ──► the stores say who is asked for ──► one look at each control group, file by file ──► messages
 *                                             ├──► the rate since the look before (`rates.ts`)
 *                                             └──► the last look at the layer on disk (`layers.ts`)
 *
 * Nothing runs when nobody asks. A call over many containers is one pass: the files are read into one buffer, with turns for other work every
 * few milliseconds; a shim is asked only of what is in none of this host's groups. What is remembered of a container goes with it.
 */

import type {
  ContainerAttributes,
  ContainerStats,
  ContainerStatsFilter,
  FilesystemIdentifier,
  MetricDescriptor,
  PodSandboxMetrics,
  PodSandboxStats,
  PodSandboxStatsFilter,
} from "@hull/api/gen/cri/v1/cri";
import { nowNanos } from "@hull/api/timestamp";
import type { TypedBytes } from "@hull/engine/labels";
import { HullError, unavailable, unknown } from "@hull/errors";
import { cgroupStats } from "@hull/sys/cgroup-stats";
import { SmallFiles } from "@hull/sys/small-file";
import { descriptors } from "../metrics/families.ts";
import { containerMetrics, podMetrics } from "../metrics/index.ts";
import { processesOf } from "../metrics/processes.ts";
import type { Pod, PodContainer } from "../model.ts";
import { Pace } from "../pace.ts";
import { type Group, Groups } from "./groups.ts";
import { interfacesOf } from "./interfaces.ts";
import { type Layers, layerId } from "./layers.ts";
import { cpuMessage, ioMessage, memoryMessage, networkMessage, swapMessage } from "./messages.ts";
import { Rates } from "./rates.ts";
import { type ShimStats, shimStats, useOfShim } from "./shim-stats.ts";
import { together } from "./together.ts";
import { pressuresOf, type Use, useOf } from "./usage.ts";

/** What is needed of a store of pods or containers. */
interface Known<T> {
  /** By id or the beginning of one. @throws NotFound */
  get(idOrPrefix: string): T;
  /** The whole id of what begins so, or what was given. */
  resolve(idOrPrefix: string): string;
  exact(id: string): T | undefined;
  list(): T[];
  readonly size: number;
}

export interface StatsOptions {
  readonly pods: Known<Pod>;
  readonly containers: Known<PodContainer> & { ofPod(podId: string): PodContainer[] };
  /** The `cgroupsPath` of the container's spec; undefined for one whose group on this host says nothing of it. Asked for once. */
  readonly cgroupOf: (container: PodContainer) => string | undefined;
  /** What the shim tells of a container without such a path. */
  readonly shimStats?: (container: PodContainer) => Promise<TypedBytes>;
  /** What containers' own layers take on disk. */
  readonly layers: Pick<Layers, "ask" | "of">;
  /** The directory of the container's snapshotter, which tells the file system that its layer is on. */
  readonly layerDirectory: (container: PodContainer) => string;
  /** ms: `stats_collect_period` and `stats_retention_period` of the runtime's table. */
  readonly period: number;
  readonly retention: number;
  readonly warn: (message: string, error: HullError) => void;
  /** Where the control groups are; the host's. */
  readonly groups?: Groups;
}

/** ms that a call waits for layers which were never looked at. A list answers soon rather than wholly, as the next one comes in seconds. */
const patience = 100;

/** What shims were asked, by the ids of their containers. */
type Told = ReadonlyMap<string, Promise<ShimStats | undefined>>;

export class Stats {
  readonly #options: StatsOptions;
  readonly #files = new SmallFiles();
  readonly #places: Groups;
  readonly #groups = new Map<string, Group | undefined>();
  readonly #rates: Rates;
  readonly #layers: Pick<Layers, "ask" | "of">;
  /** What messages have in common with the ones before is the same object, which needn't be encoded again. */
  readonly #attributes = new WeakMap<PodContainer, ContainerAttributes>();
  readonly #fileSystems = new Map<string, FilesystemIdentifier>();

  constructor(options: StatsOptions) {
    this.#options = options;
    this.#places = options.groups ?? new Groups();
    const nanos = (ms: number): bigint => BigInt(Math.round(ms)) * 1_000_000n;
    this.#rates = new Rates({ period: nanos(options.period), retention: nanos(options.retention) });
    this.#layers = options.layers;
  }

  /** @throws NotFound for an unknown container; Unknown for one that doesn't run (texts as containerd's) */
  async containerStats(id: string): Promise<ContainerStats> {
    const container = named(() => this.#options.containers.get(id), "failed to find container");
    const use = await this.#useOf(container);
    if (use === undefined) throw unknown("unexpected metrics response: []");
    await this.#askLayers([container]);
    return this.#message(container, use);
  }

  /** Those that a filter lets through, all without one. One that doesn't run has its layer alone. */
  async listContainerStats(filter: ContainerStatsFilter | undefined): Promise<ContainerStats[]> {
    const containers = this.#containersFor(filter);
    await this.#askLayers(containers);
    const pace = new Pace();
    const asked = this.#askShims(containers);
    const stats: ContainerStats[] = [];
    for (const container of containers) {
      const use = this.#useOf(container, asked);
      stats.push(this.#message(container, use instanceof Promise ? await use : use));
      if (pace.due) await pace.rest();
    }
    return stats;
  }

  /** @throws NotFound for an unknown pod; Unavailable for one that isn't ready (texts as containerd's) */
  async podStats(id: string): Promise<PodSandboxStats> {
    const pod = named(() => this.#options.pods.get(id), `an error occurred when trying to find sandbox ${id}`);
    if (pod.state !== "ready") {
      const reason = `failed to get pod sandbox stats since sandbox container "${pod.id}" is not in ready state`;
      throw unavailable(`failed to decode pod sandbox metrics ${id}: ${reason}`);
    }
    await this.#askLayers(this.#options.containers.ofPod(pod.id));
    return await this.#podMessage(pod, new Pace());
  }

  /** Those of all pods that are ready and that a filter lets through. */
  async listPodStats(filter: PodSandboxStatsFilter | undefined): Promise<PodSandboxStats[]> {
    const pods = this.#podsFor(filter);
    const containers = pods.flatMap(({ id }) => this.#options.containers.ofPod(id));
    await this.#askLayers(containers);
    const asked = this.#askShims(containers);
    const pace = new Pace();
    const stats: PodSandboxStats[] = [];
    for (const pod of pods) {
      stats.push(await this.#podMessage(pod, pace, asked));
      if (pace.due) await pace.rest();
    }
    return stats;
  }

  /** The families of `podMetrics`. */
  metricDescriptors(): readonly MetricDescriptor[] {
    return descriptors;
  }

  /** cAdvisor's families for all pods that are ready, and their containers that run. */
  async podMetrics(): Promise<PodSandboxMetrics[]> {
    const { containers } = this.#options;
    await this.#askLayers(containers.list());
    const pace = new Pace();
    const result: PodSandboxMetrics[] = [];
    for (const pod of this.#podsFor(undefined)) {
      const { net } = pod.namespaces;
      const message = podMetrics(pod, net === undefined ? [] : (interfacesOf(this.#files, net) ?? []));
      for (const container of containers.ofPod(pod.id)) {
        const found = await this.#allOf(container, pace);
        if (found === undefined) continue;
        const [layer, directory] = [this.#layers.of(layerOf(container)), this.#layerDirectory(container)];
        message.containerMetrics.push(containerMetrics({ pod, container, ...found, layer, directory }));
        if (pace.due) await pace.rest();
      }
      result.push(message);
    }
    return result;
  }

  #containersFor(filter: ContainerStatsFilter | undefined): PodContainer[] {
    const { pods, containers } = this.#options;
    if (filter === undefined) return containers.list();
    const id = filter.id === "" ? "" : containers.resolve(filter.id);
    const podId = filter.podSandboxId === "" ? "" : pods.resolve(filter.podSandboxId);
    return (podId === "" ? containers.list() : containers.ofPod(podId)).filter(
      (container) => (id === "" || container.id === id) && hasLabels(container.config.labels, filter.labelSelector),
    );
  }

  #podsFor(filter: PodSandboxStatsFilter | undefined): Pod[] {
    const { pods } = this.#options;
    const ready = pods.list().filter(({ state }) => state === "ready");
    if (filter === undefined) return ready;
    const id = filter.id === "" ? "" : pods.resolve(filter.id);
    return ready.filter((pod) => (id === "" || pod.id === id) && hasLabels(pod.config.labels, filter.labelSelector));
  }

  async #askLayers(containers: readonly PodContainer[]): Promise<void> {
    this.#forgetGone();
    await this.#layers.ask(containers.map(layerOf), patience);
  }

  /** Nobody tells of containers that go: they are missed when more are remembered than there are. */
  #forgetGone(): void {
    const { pods, containers } = this.#options;
    const there = { has: (id: string) => (containers.exact(id) ?? pods.exact(id)) !== undefined };
    if (this.#rates.size > containers.size + pods.size) this.#rates.keep(there);
    if (this.#groups.size <= containers.size) return;
    for (const id of this.#groups.keys()) if (!there.has(id)) this.#groups.delete(id);
  }

  #groupOf(container: PodContainer): Group | undefined {
    const { pid, state } = container.status;
    if (state !== "running" || this.#groups.has(container.id)) return this.#groups.get(container.id);
    try {
      const path = this.#options.cgroupOf(container);
      const group = path === undefined ? undefined : this.#places.ofContainer(path, pid);
      this.#groups.set(container.id, group);
      return group;
    } catch (error) {
      // One container that can't be told of doesn't keep the others from being told of.
      this.#options.warn(`can't tell what container "${container.id}" uses`, HullError.from(error));
      return undefined;
    }
  }

  /** Empty for a container whose runtime is no longer configured. */
  #layerDirectory(container: PodContainer): string {
    try {
      return this.#options.layerDirectory(container);
    } catch {
      return "";
    }
  }

  /** Asks the shims of all those that have no group here at once. */
  #askShims(containers: readonly PodContainer[]): Told {
    const outside = containers.filter(({ id }) => this.#groups.has(id) && this.#groups.get(id) === undefined);
    return new Map(outside.map((container) => [container.id, this.#toldOf(container)]));
  }

  /** One look at a container, at once if it has a group here. Undefined if it doesn't run. */
  #useOf(container: PodContainer, asked?: Told, wantsTasks = false): Use | undefined | Promise<Use | undefined> {
    if (container.status.state !== "running") return undefined;
    const group = this.#groupOf(container);
    return group === undefined ? this.#useToldOf(container, asked) : useOf(this.#files, group, wantsTasks);
  }

  async #useToldOf(container: PodContainer, asked: Told | undefined): Promise<Use | undefined> {
    const told = await (asked?.get(container.id) ?? this.#toldOf(container));
    return told === undefined ? undefined : useOfShim(told, nowNanos());
  }

  /** All that is known of what a container uses. Undefined if it doesn't run. */
  async #allOf(container: PodContainer, pace: Pace) {
    if (container.status.state !== "running") return undefined;
    const group = this.#groupOf(container);
    if (group === undefined) {
      const told = await this.#toldOf(container);
      return told === undefined ? undefined : { ...told, processes: undefined };
    }
    const stats = cgroupStats(group.cgroup);
    if (stats.cpu === undefined && stats.memory === undefined && stats.pids === undefined) return undefined;
    const processes = await processesOf(group.cgroup, container.status.pid, pace);
    return { stats, pressures: pressuresOf(this.#files, group), processes };
  }

  /** What the shim tells of a container that has no group here. */
  async #toldOf(container: PodContainer): Promise<ShimStats | undefined> {
    const ask = this.#options.shimStats;
    if (ask === undefined || container.status.state !== "running") return undefined;
    try {
      return shimStats(await ask(container));
    } catch (error) {
      const cause = HullError.from(error);
      if (cause.code !== "notFound") this.#options.warn(`can't tell what container "${container.id}" uses`, cause);
      return undefined;
    }
  }

  #message(container: PodContainer, use: Use | undefined): ContainerStats {
    const { id, status } = container;
    const attributes = this.#attributesOf(container);
    const fsId = this.#fileSystemOf(container);
    const { at, bytes, inodes } = this.#layers.of(layerOf(container));
    const writableLayer = { timestamp: at, fsId, usedBytes: { value: bytes }, inodesUsed: { value: inodes } };
    if (use === undefined)
      return { attributes, writableLayer, cpu: undefined, memory: undefined, swap: undefined, io: undefined };
    const rate = use.cpuNs === undefined ? undefined : this.#rates.take(id, use.at, use.cpuNs, status.startedAt);
    return {
      attributes,
      cpu: cpuMessage(use, rate),
      memory: memoryMessage(use),
      writableLayer,
      swap: swapMessage(use),
      io: ioMessage(use),
    };
  }

  #attributesOf(container: PodContainer): ContainerAttributes {
    const before = this.#attributes.get(container);
    if (before !== undefined) return before;
    const { metadata, labels, annotations } = container.config;
    const attributes = { id: container.id, metadata, labels, annotations };
    this.#attributes.set(container, attributes);
    return attributes;
  }

  #fileSystemOf(container: PodContainer): FilesystemIdentifier {
    const mountpoint = this.#layerDirectory(container);
    const before = this.#fileSystems.get(mountpoint);
    if (before !== undefined) return before;
    const fileSystem = { mountpoint };
    this.#fileSystems.set(mountpoint, fileSystem);
    return fileSystem;
  }

  async #podMessage(pod: Pod, pace: Pace, asked?: Told): Promise<PodSandboxStats> {
    const { id, config, createdAt, namespaces } = pod;
    const uses: Use[] = [];
    const containers: ContainerStats[] = [];
    for (const container of this.#options.containers.ofPod(id)) {
      const use = await this.#useOf(container, asked, true);
      if (use !== undefined) uses.push(use);
      containers.push(this.#message(container, use));
      if (pace.due) await pace.rest();
    }
    const use = this.#parentUse(pod) ?? together(uses, nowNanos());
    const rate = use.cpuNs === undefined ? undefined : this.#rates.take(id, use.at, use.cpuNs, createdAt);
    const interfaces = namespaces.net === undefined ? undefined : interfacesOf(this.#files, namespaces.net);
    const tasks = uses.reduce((sum, { tasks = 0n }) => sum + tasks, 0n);
    return {
      attributes: { id, metadata: config.metadata, labels: config.labels, annotations: config.annotations },
      linux: {
        cpu: cpuMessage(use, rate),
        memory: memoryMessage(use),
        network: interfaces === undefined ? undefined : networkMessage(use.at, interfaces),
        process: { timestamp: use.at, processCount: { value: tasks } },
        containers,
        io: ioMessage(use),
      },
      windows: undefined,
    };
  }

  /** What the group that the pod's containers lie in uses, if it has one. */
  #parentUse({ config }: Pod): Use | undefined {
    const parent = config.linux?.cgroupParent ?? "";
    const group = parent === "" ? undefined : this.#places.at(parent);
    return group === undefined ? undefined : useOf(this.#files, group, false);
  }
}

const layerOf = ({ place }: PodContainer): string => layerId(place.snapshotter, place.snapshotKey);

const hasLabels = (labels: Readonly<Record<string, string>>, selector: Readonly<Record<string, string>>): boolean =>
  Object.entries(selector).every(([key, value]) => labels[key] === value);

function named<T>(find: () => T, prefix: string): T {
  try {
    return find();
  } catch (error) {
    const { code, message } = HullError.from(error);
    // Of what isn't there containerd says no more than the class text that goes behind.
    throw new HullError(code, code === "notFound" ? prefix : `${prefix}: ${message}`, { cause: error });
  }
}
