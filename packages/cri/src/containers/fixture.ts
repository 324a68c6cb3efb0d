import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type ContainerConfig,
  ContainerEventType,
  type ContainerStatus,
  CreateContainerRequest,
  PodSandboxConfig,
} from "@hull/api/gen/cri/v1/cri";
import { silent } from "@hull/engine/log";
import { MetadataFixture } from "@hull/engine/metadata/fixture";
import type { Exit, ProcessState, TaskManager } from "@hull/engine/runtime/index";
import type { Snapshotter } from "@hull/engine/snapshots/index";
import { alreadyExists, notFound, unimplemented, unknown } from "@hull/errors";
import { parseImageConfig } from "@hull/oci/manifest";
import { defaultSpec } from "@hull/oci/spec";
import { defaultCriConfig } from "../config.ts";
import { RuntimeHandlers } from "../handlers.ts";
import type { Images, LocalImage, Pod } from "../model.ts";
import { NriBridge } from "../nri/index.ts";
import { PodContainerStore, PodStore } from "../stores/index.ts";
import { Containers, type ContainersOptions } from "./index.ts";

/** A task that does nothing but what the test says. */
interface FakeTask {
  state: "created" | "running" | "paused" | "stopped";
  readonly exit: PromiseWithResolvers<Exit>;
  readonly signals: number[];
  resources: string[];
}

const absent = <T extends object>(name: string): T =>
  new Proxy({} as T, {
    get: () => () => {
      throw unimplemented(`${name} is not a part of this test`);
    },
  });

/** Containers on stores of their own, in one pod that is ready, with tasks that end when the test, or SIGKILL, ends them. */
export class ContainersFixture implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "hull-containers-"));
  readonly metadata = new MetadataFixture();
  readonly tasks = new Map<string, FakeTask>();
  readonly snapshots = new Set<string>();
  readonly events: string[] = [];
  readonly pod: Pod;
  store = new PodContainerStore();
  containers: Containers;
  /** What the next call of this name throws. */
  readonly failing = new Map<string, Error>();
  oomKills = 0n;

  constructor() {
    const config = PodSandboxConfig.fromPartial({ metadata: { name: "p", uid: "u", namespace: "n", attempt: 0 } });
    this.pod = {
      id: "p".repeat(64),
      name: "p_n_u_0",
      config,
      runtimeHandler: "",
      createdAt: 1n,
      state: "ready",
      namespaces: {},
      network: { ip: "", additionalIps: [] },
      processLabel: "",
    };
    this.containers = this.#containers();
  }

  #containers(): Containers {
    const config = defaultCriConfig();
    const pods = new PodStore();
    pods.add(this.pod);
    const { containers: records, leases } = this.metadata.stores;
    const options: ContainersOptions = {
      config,
      pods,
      containers: this.store,
      handlers: new RuntimeHandlers(config, silent),
      images: this.#images(),
      specs: {
        container: async ({ id }: { id: string }) => {
          this.#failing("spec");
          return { spec: defaultSpec({ namespace: "k8s.io", id }), processLabel: "", volumes: [] };
        },
      } as unknown as ContainersOptions["specs"],
      imageVolumes: absent("imageVolumes"),
      features: absent("features"),
      facts: { swapController: false, hugetlbController: false } as ContainersOptions["facts"],
      users: { of: () => ({ users: async () => ({}) }) } as unknown as ContainersOptions["users"],
      nri: new NriBridge({ pods, host: absent("host"), version: "1", log: silent }),
      podFiles: () => ({}),
      releaseLabel: () => undefined,
      records,
      leases,
      checkpoints: absent("checkpoints"),
      tasks: this.#tasks(),
      snapshotters: new Map([["overlayfs", this.#snapshotter()]]),
      root: join(this.folder, "root"),
      state: join(this.folder, "state"),
      onEvent: (type, { config }) =>
        void this.events.push(`${Object.keys(ContainerEventType)[type]} ${config.metadata?.name}`),
      log: silent,
    };
    return new Containers(options);
  }

  #failing(name: string): void {
    const error = this.failing.get(name);
    this.failing.delete(name);
    if (error !== undefined) throw error;
  }

  #images(): Images {
    const image: LocalImage = {
      id: "sha256:1",
      tags: ["docker.io/library/busybox:latest"],
      digests: [],
      size: 1,
      config: parseImageConfig(
        "image",
        new TextEncoder().encode('{"os":"linux","architecture":"amd64","config":{"Labels":{"image":"1"}}}'),
      ),
      chainId: "chain",
      pinned: false,
    };
    return {
      get: async (reference) => {
        if (reference === "gone") throw notFound(`failed to resolve image "gone"`);
        return image;
      },
      ensure: async () => image,
      unpacked: async () => "chain",
    };
  }

  #snapshotter(): Snapshotter {
    return {
      ...absent<Snapshotter>("snapshotter"),
      prepare: async (_, key) => {
        this.#failing("prepare");
        if (this.snapshots.has(key)) throw alreadyExists(key);
        this.snapshots.add(key);
        return [];
      },
      mounts: async () => [],
      remove: async (_, key) => {
        if (!this.snapshots.delete(key)) throw notFound(key);
      },
    };
  }

  #tasks(): TaskManager {
    const found = (id: string): FakeTask => {
      const task = this.tasks.get(id);
      if (task === undefined) throw notFound(`task ${id} not found`);
      return task;
    };
    return {
      ...absent<TaskManager>("tasks"),
      create: async (_, { id }) => {
        this.#failing("create");
        this.tasks.set(id, { state: "created", exit: Promise.withResolvers(), signals: [], resources: [] });
        return { pid: 17 };
      },
      start: async (_, id) => {
        this.#failing("start");
        found(id).state = "running";
        return { pid: 17 };
      },
      wait: (_, id) => found(id).exit.promise,
      get: async (_, id) => {
        const { state, exit } = found(id);
        const ended = state === "stopped" ? await exit.promise : undefined;
        return { pid: 17, status: state, ...ended } as unknown as ProcessState;
      },
      kill: async (_, id, { signal }) => {
        found(id).signals.push(signal);
        if (signal === 9) this.end(id, 137);
      },
      resume: async (_, id) => {
        found(id).state = "running";
      },
      delete: async (_, id) => {
        const { exit } = found(id);
        this.tasks.delete(id);
        return await exit.promise;
      },
      update: async (_, id, { value }) => {
        this.#failing("update");
        found(id).resources.push(new TextDecoder().decode(value));
      },
      stats: async () => {
        const { Metrics } = await import("@hull/api/gen/cgroups/v1/metrics");
        const value = Metrics.encode(Metrics.fromPartial({ memoryOomControl: { oomKill: this.oomKills } })).finish();
        return { typeUrl: "io.containerd.cgroups.v1.Metrics", value };
      },
    };
  }

  /** A container's process ends. */
  end(id: string, exitStatus: number): void {
    const task = this.tasks.get(id);
    if (task === undefined) throw unknown(`no task ${id}`);
    task.state = "stopped";
    task.exit.resolve({ pid: 17, exitStatus, exitedAt: 99n });
  }

  /** Makes one, and starts it if wished. */
  async make(
    name: string,
    { start = false, ...config }: Partial<ContainerConfig> & { start?: boolean } = {},
  ): Promise<string> {
    const request = CreateContainerRequest.fromPartial({
      podSandboxId: this.pod.id,
      config: { metadata: { name, attempt: 0 }, image: { image: "busybox" }, ...config },
      sandboxConfig: this.pod.config,
    });
    const id = await this.containers.create(request);
    if (start) await this.containers.start(id);
    return id;
  }

  status(id: string): Promise<ContainerStatus> {
    return this.containers.status(id);
  }

  /** What a killed daemon leaves to the next one. */
  async restart(): Promise<void> {
    this.containers.close();
    this.store = new PodContainerStore();
    this.containers = this.#containers();
    await this.containers.recover();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.containers.close();
    await this.metadata[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
