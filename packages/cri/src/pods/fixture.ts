import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NamespaceMode, PodSandboxConfig } from "@hull/api/gen/cri/v1/cri";
import { StandIns } from "@hull/engine/containers/stand-ins";
import { contextFor } from "@hull/engine/context";
import { silent } from "@hull/engine/log";
import { MetadataFixture } from "@hull/engine/metadata/fixture";
import type { ProcessState } from "@hull/engine/runtime/index";
import { notFound, unimplemented } from "@hull/errors";
import { mountInfo, unmountTree } from "@hull/sys/mount";
import { type CriConfig, grpcTable, imagesTable, runtimeTable } from "../config.ts";
import { RuntimeHandlers } from "../handlers.ts";
import type { Pod, PodContainer } from "../model.ts";
import { CniPodNetworks } from "../network/index.ts";
import { PodStore } from "../stores/index.ts";
import { Pods, type PodsOptions } from "./index.ts";
import type { PodEngine } from "./options.ts";

/** A plugin that writes down its calls, hands out addresses by files as host-local does, and fails or waits while a file says so. */
const plugin = (folder: string): string => `#!/bin/sh
config=$(cat)
[ "$CNI_COMMAND" = VERSION ] || echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $CNI_NETNS $CNI_ARGS $config" >>${folder}/calls
if [ -e ${folder}/fail-$CNI_COMMAND ]; then printf '{"cniVersion":"1.0.0","code":11,"msg":"not now"}'; exit 1; fi
case $CNI_COMMAND in
ADD) echo $CNI_CONTAINERID >${folder}/addresses/$CNI_CONTAINERID
  [ -e ${folder}/hang-ADD ] && exec sleep 600
  printf '{"cniVersion":"1.0.0","interfaces":[{"name":"veth1"},{"name":"eth0","mac":"aa:bb","sandbox":"%s"}],"ips":[{"address":"fd00::2/64","interface":1},{"address":"10.9.0.2/16","gateway":"10.9.0.1","interface":1}],"routes":[{"dst":"0.0.0.0/0"}],"dns":{}}' "$CNI_NETNS";;
DEL) [ -e ${folder}/hang-DEL ] && exec sleep 600
  rm -f ${folder}/addresses/$CNI_CONTAINERID;;
esac
exit 0
`;

const absent = <T extends object>(name: string): T =>
  new Proxy({} as T, {
    get: () => () => {
      throw unimplemented(`${name} is not a part of this test`);
    },
  });

/** Pods on stores and directories of their own, with a network of a plugin that does as it is told. */
export class PodsFixture implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "hull-pods-"));
  readonly metadata = new MetadataFixture();
  readonly told: string[] = [];
  readonly containers = new Map<string, PodContainer[]>();
  readonly config: CriConfig;
  store = new PodStore();
  networks: CniPodNetworks;
  pods: Pods;
  #nriFails = false;
  readonly standIns = new StandIns();
  /** Processes of pause tasks by pod. */
  readonly running = new Map<string, { pid: number; ended: PromiseWithResolvers<void> }>();

  constructor(runtime: Record<string, unknown> = {}) {
    for (const name of ["bin", "conf", "addresses"]) mkdirSync(join(this.folder, name));
    writeFileSync(join(this.folder, "bin", "told"), plugin(this.folder));
    chmodSync(join(this.folder, "bin", "told"), 0o755);
    this.network({
      cniVersion: "1.0.0",
      name: "net",
      plugins: [{ type: "told", capabilities: { portMappings: true } }],
    });
    const cni = { bin_dirs: [join(this.folder, "bin")], conf_dir: join(this.folder, "conf") };
    this.config = {
      images: imagesTable.parse({}),
      runtime: runtimeTable.parse({ netns_mounts_under_state_dir: true, cni, ...runtime }),
      grpc: grpcTable.parse({}),
    };
    this.networks = this.#networks();
    this.pods = this.#pods();
  }

  network(list: object): void {
    writeFileSync(join(this.folder, "conf", "10-net.conflist"), JSON.stringify(list));
  }

  #networks(): CniPodNetworks {
    const networks = new CniPodNetworks({
      config: this.config.runtime,
      cacheDirectory: join(this.folder, "cni-cache"),
      sharedCacheDirectory: join(this.folder, "shared-cache"),
      log: silent,
    });
    networks.start();
    return networks;
  }

  #pods(): Pods {
    const { sandboxes, leases, containers } = this.metadata.stores;
    const engine: PodEngine = {
      sandboxes,
      leases,
      containers,
      tasks: this.#tasks(),
      snapshotters: new Map(),
      sandboxControllers: new Map(),
      standIns: this.standIns,
    };
    const note = (what: string) => (pod: Pod) => {
      this.told.push(`${what} ${pod.config.metadata?.name}`);
      return Promise.resolve();
    };
    const options: PodsOptions = {
      config: this.config,
      directories: { root: join(this.folder, "root"), state: join(this.folder, "state") },
      handlers: new RuntimeHandlers(this.config, silent),
      pods: this.store,
      networks: this.networks,
      engine,
      images: absent("images"),
      specs: { pause: absent("specs"), podLabels: () => ({ process: "", mount: "" }) },
      specHandler: absent("handlers"),
      selinux: { release: () => undefined, reserve: () => undefined },
      users: absent("users"),
      nri: {
        shared: (work) => work(),
        runPodSandbox: async (pod) => {
          await note("nri run")(pod);
          if (this.#nriFails) throw new Error("no, says the plugin");
        },
        stopPodSandbox: note("nri stop"),
        removePodSandbox: note("nri remove"),
        updatePodSandbox: note("nri update"),
        postUpdatePodSandbox: note("nri updated"),
      },
      reconnectedMs: 1000,
      hooks: {
        onEvent: (pod, event) => void this.told.push(`${event} ${pod.config.metadata?.name}`),
        containersOf: (id) => this.containers.get(id) ?? [],
        stopContainer: async ({ id }) => void this.told.push(`stop container ${id}`),
        removeContainer: async ({ id, podId }) => {
          this.told.push(`remove container ${id}`);
          this.containers.delete(podId);
        },
      },
      log: silent,
    };
    return new Pods(options);
  }

  #tasks(): PodEngine["tasks"] {
    const found = (id: string) => {
      const task = this.running.get(id);
      if (task === undefined) throw notFound(`task ${id}`);
      return task;
    };
    const exit = { pid: 0, exitStatus: 137, exitedAt: 0n };
    return {
      ...absent<PodEngine["tasks"]>("tasks"),
      get: async (_, id) => ({ pid: found(id).pid, status: "running" }) as ProcessState,
      kill: async (_, id) => found(id).ended.resolve(),
      wait: async (_, id) => {
        await found(id).ended.promise;
        return exit;
      },
      delete: async (_, id) => {
        found(id);
        this.running.delete(id);
        return exit;
      },
    };
  }

  /** A task that stands for a pause process. */
  startTask(id: string, pid: number): void {
    this.running.set(id, { pid, ended: Promise.withResolvers() });
  }

  /** What a killed daemon leaves to the next one. */
  async restart(): Promise<void> {
    this.networks.close();
    this.pods.close();
    this.store = new PodStore();
    this.networks = this.#networks();
    this.pods = this.#pods();
    await this.pods.recover();
  }

  run(config: PodSandboxConfig, signal = new AbortController().signal): Promise<string> {
    return this.pods.run({ config, runtimeHandler: "" }, signal);
  }

  flag(name: string, on: boolean): void {
    if (on) writeFileSync(join(this.folder, name), "");
    else rmSync(join(this.folder, name), { force: true });
  }

  failNri(on: boolean): void {
    this.#nriFails = on;
  }

  /** Calls of the plugin: its command and the interface. */
  calls(): string[] {
    const path = join(this.folder, "calls");
    if (!existsSync(path)) return [];
    return readFileSync(path, "utf8").trim().split("\n");
  }

  /** All that a pod may leave: addresses, what is kept of networks, mounts, files, records, leases. */
  async left(): Promise<Record<string, readonly string[]>> {
    const { sandboxes, leases } = this.metadata.stores;
    const ctx = contextFor("k8s.io");
    const listed = (...path: string[]) => {
      const directory = join(this.folder, ...path);
      return existsSync(directory) ? readdirSync(directory) : [];
    };
    return {
      addresses: listed("addresses"),
      cache: listed("cni-cache", "results"),
      mounts: mountInfo()
        .map(({ target }) => target)
        .filter((target) => target.startsWith(this.folder)),
      netns: listed("state", "netns"),
      files: [...listed("root", "sandboxes"), ...listed("state", "sandboxes")],
      records: (await sandboxes.list(ctx)).map(({ id }) => id),
      leases: (await leases.list(ctx)).map(({ id }) => id),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.networks.close();
    this.pods.close();
    unmountTree(this.folder);
    await this.metadata[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export const nothing = { addresses: [], cache: [], mounts: [], netns: [], files: [], records: [], leases: [] };

/** A pod whose containers have pid namespaces of their own, so that it needs no process. */
export const podConfig = (name: string, more: object = {}, namespaces: object = {}): PodSandboxConfig =>
  PodSandboxConfig.fromPartial({
    metadata: { name, uid: `uid-${name}`, namespace: "space", attempt: 0 },
    hostname: name,
    labels: { app: name },
    linux: { securityContext: { namespaceOptions: { pid: NamespaceMode.CONTAINER, ...namespaces } } },
    ...more,
  });
