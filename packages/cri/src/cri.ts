import { join } from "node:path";
import { TaskOOM } from "@hull/api/gen/containerd/events/task";
import {
  ContainerEventType,
  type ImageServiceDefinition,
  type RuntimeServiceDefinition,
} from "@hull/api/gen/cri/v1/cri";
import type { ServiceImplementation } from "@hull/api/rpc";
import { nowNanos } from "@hull/api/timestamp";
import { openDeviceRegistry } from "@hull/engine/cdi/index";
import type { ContainerStore } from "@hull/engine/containers/index";
import { type StandIns, standInsId } from "@hull/engine/containers/stand-ins";
import type { ContentStore } from "@hull/engine/content/index";
import { contextFor } from "@hull/engine/context";
import type { Differ } from "@hull/engine/diff/index";
import type { EventExchange } from "@hull/engine/events/index";
import type { ImageStore } from "@hull/engine/images/index";
import type { LeaseStore } from "@hull/engine/leases/index";
import type { NriStarter } from "@hull/engine/nri/index";
import type { PluginInit } from "@hull/engine/plugin/index";
import { pluginTypes } from "@hull/engine/plugin/types";
import { keepCode } from "@hull/engine/rest";
import type { ShimTaskManager } from "@hull/engine/runtime/task-manager";
import type { SandboxController } from "@hull/engine/sandbox/controller";
import type { SandboxStore } from "@hull/engine/sandbox/index";
import type { Snapshotter } from "@hull/engine/snapshots/index";
import type { Transfer } from "@hull/engine/transfer/index";
import type { Warnings } from "@hull/engine/warnings/index";
import { HullError, unimplemented } from "@hull/errors";
import type { CriConfig, CriGrpcConfig } from "./config.ts";
import { Containers } from "./containers/index.ts";
import { ContainerEvents } from "./events/index.ts";
import { RuntimeFeatures } from "./features.ts";
import { type RuntimeHandler, RuntimeHandlers } from "./handlers.ts";
import { CriImages, imageService } from "./images/index.ts";
import { criNamespace, type PodContainer } from "./model.ts";
import { CniPodNetworks } from "./network/index.ts";
import { NriBridge } from "./nri/index.ts";
import { type PodEvent, Pods, podStatus } from "./pods/index.ts";
import { runtimeService } from "./runtime-service.ts";
import { hostPaths } from "./spec/host.ts";
import { ContainerSpecs, checkPropagation, ImageVolumes, readHostFacts, UserFilesReader } from "./spec/index.ts";
import { readSelinuxPolicy, SelinuxLabeler } from "./spec/selinux.ts";
import { Stats } from "./stats/index.ts";
import { daemonVersion } from "./status.ts";
import { PodContainerStore, PodStore } from "./stores/index.ts";
import { attachClient } from "./streaming/attach-client.ts";
import type { ExecOptions } from "./streaming/exec.ts";
import { TaskStreamingHost } from "./streaming/host.ts";
import { StreamingServer } from "./streaming/index.ts";
import { keyPairOf } from "./streaming/key-pair.ts";
import { endLeftCommands } from "./streaming/left-commands.ts";

/** What serves Kubernetes. */
export interface Cri {
  readonly runtime: ServiceImplementation<RuntimeServiceDefinition>;
  readonly images: ServiceImplementation<ImageServiceDefinition>;
}

const podEvents: Readonly<Record<PodEvent, ContainerEventType>> = {
  created: ContainerEventType.CONTAINER_CREATED_EVENT,
  started: ContainerEventType.CONTAINER_STARTED_EVENT,
  stopped: ContainerEventType.CONTAINER_STOPPED_EVENT,
  deleted: ContainerEventType.CONTAINER_DELETED_EVENT,
};

/**
 * Puts the parts together, brings back the pods of an earlier run with their containers, and begins to serve streams. All is taken down
 * when the daemon stops; pods go on.
 *
 * @throws what a bad configuration throws, and what can't be read of the earlier run
 */
export async function startCri(init: PluginInit<CriGrpcConfig>, config: CriConfig): Promise<Cri> {
  const { log, get, all } = init;
  const tasks = get<ShimTaskManager>(pluginTypes.runtime);
  const snapshotters = all<Snapshotter>(pluginTypes.snapshotter);
  const records = get<ContainerStore>(pluginTypes.service, "containers-service");
  const leases = get<LeaseStore>(pluginTypes.lease);
  const exchange = get<EventExchange>(pluginTypes.event);
  const warnings = get<Warnings>(pluginTypes.warning);
  const rootOf = (name: string): string =>
    init.plugins().find(({ type, id }) => type === pluginTypes.snapshotter && id === name)?.exports.root ?? "";

  const handlers = new RuntimeHandlers(config, log);
  const optionsFor: ShimTaskManager["optionsFor"] = (runtime, given) => tasks.optionsFor(runtime, given);
  const features = new RuntimeFeatures({ shims: tasks.shims, optionsFor, snapshotters, log });
  const facts = readHostFacts(config.runtime);
  const policy = config.runtime.enable_selinux ? readSelinuxPolicy() : undefined;
  if (config.runtime.enable_selinux && policy === undefined)
    log.log("warn", "enable_selinux has no effect: SELinux is off, or its policy says nothing of containers");
  const selinux = new SelinuxLabeler(policy, config.runtime.selinux_category_range);
  const cdi = openDeviceRegistry(config.runtime.cdi_spec_dirs);
  const specs = new ContainerSpecs(config.runtime, { facts, paths: hostPaths, selinux, cdi }, log);
  const users = new UserFilesReader();
  const podStore = new PodStore();
  const containerStore = new PodContainerStore();
  const events = new ContainerEvents();

  const images = new CriImages({
    config: config.images,
    transfer: get<Transfer>(pluginTypes.transfer),
    images: get<ImageStore>(pluginTypes.service, "images-service"),
    content: get<ContentStore>(pluginTypes.content),
    events: exchange,
    snapshotters,
    handlerSnapshotters: Object.fromEntries(handlers.list().map(({ name, snapshotter }) => [name, snapshotter])),
    rootOf,
    deprecated: (table) => warnings.emit(table),
    log,
  });
  const networks = new CniPodNetworks({
    config: config.runtime,
    cacheDirectory: join(init.root, "networks"),
    run: (plugin) => pods.runPlugin(plugin),
    log,
  });
  const nri = new NriBridge({
    pods: podStore,
    host: {
      injectDevices: (spec, names) => cdi.inject(spec, names),
      blockIoClass: async (name) => {
        throw unimplemented(`block I/O class "${name}": classes aren't there yet`);
      },
      rdtClass: async (name) => ({ closID: name }),
      checkPropagation: (path, allowed) => checkPropagation(hostPaths, path, allowed),
    },
    version: daemonVersion,
    log,
  });

  const imageVolumes = new ImageVolumes({ directory: join(init.state, "image-volumes"), images, snapshotters, leases });
  const specHandler = async (handler: RuntimeHandler) => ({
    config: handler.config,
    baseSpec: handler.baseSpec,
    recursiveReadOnly: false,
  });
  const pods: Pods = new Pods({
    config,
    directories: { root: init.root, state: init.state },
    handlers,
    pods: podStore,
    networks,
    engine: {
      sandboxes: get<SandboxStore>(pluginTypes.sandboxStore),
      leases,
      containers: records,
      tasks,
      snapshotters,
      sandboxControllers: all<SandboxController>(pluginTypes.sandboxController),
      standIns: get<StandIns>(pluginTypes.internal, standInsId),
    },
    images,
    specs,
    specHandler,
    selinux,
    users,
    nri,
    hooks: {
      onEvent: (pod, event) => void tell(podEvents[event], pod.id, pod.id),
      containersOf: (podId) => containerStore.ofPod(podId),
      stopContainer: (container) => containers.kill(container),
      removeContainer: (container) => containers.removeOne(container),
      releasePod: (podId) => imageVolumes.release(podId),
    },
    cleanUpTimeoutMs: init.properties.timeouts?.["io.containerd.timeout.cri.defercleanup"],
    log,
  });
  const containers: Containers = new Containers({
    config,
    pods: podStore,
    containers: containerStore,
    handlers,
    features,
    images,
    specs,
    imageVolumes,
    facts,
    users,
    nri,
    podFiles: (pod) => pods.filesOf(pod),
    releaseLabel: (label) => selinux.release(label),
    records,
    leases,
    checkpoints: {
      differ: get<Differ>(pluginTypes.service, "diff-service"),
      content: get<ContentStore>(pluginTypes.content),
    },
    tasks,
    snapshotters,
    root: join(init.root, "containers"),
    state: join(init.state, "containers"),
    onEvent: (type, { id, podId }) => void tell(type, id, podId),
    log,
  });

  /** Each event carries the whole pod as it is when it is sent; the order is that of the calls. */
  let telling: Promise<void> = Promise.resolve();
  function tell(type: ContainerEventType, id: string, podId: string): Promise<void> {
    const createdAt = nowNanos();
    const pod = podStore.exact(podId);
    const podSandboxStatus = pod === undefined ? undefined : podStatus(pod);
    const statuses = containers.statusesOf(podId).catch(() => []);
    telling = telling.then(async () => {
      const containersStatuses = await statuses;
      events.send({ containerId: id, containerEventType: type, createdAt, podSandboxStatus, containersStatuses });
    });
    return telling;
  }

  const exec: ExecOptions = {
    tasks,
    processOf: (id) => containers.processOf(id),
    fifoDirectory: (id) => join(init.state, "containers", id, "io"),
    drainTimeoutMs: config.runtime.drain_exec_sync_io_timeout,
    log,
  };
  const stats = new Stats({
    pods: podStore,
    containers: containerStore,
    // Another's shim may keep its containers in a virtual machine, whose groups aren't this host's.
    cgroupOf: (container) => (handlerOf(container).own ? container.place.cgroupsPath : undefined),
    shimStats: ({ id }) => tasks.stats(contextFor(criNamespace), id),
    layers: images.disk.layers,
    layerDirectory: (container) => rootOf(handlerOf(container).snapshotter),
    period: config.runtime.stats_collect_period,
    retention: config.runtime.stats_retention_period,
    warn: (message, { message: error }) => log.log("warn", message, { error }),
  });
  function handlerOf({ podId }: PodContainer): RuntimeHandler {
    return handlers.get(podStore.exact(podId)?.runtimeHandler ?? "");
  }

  await using undo = new AsyncDisposableStack();
  undo.use(images);
  undo.use(events);
  undo.defer(() => containers.close());
  undo.defer(() => networks.close());
  undo.defer(() => pods.close());
  await images.load();
  networks.start();
  undo.defer(
    exchange.observe(({ namespace, topic, event }) => {
      if (namespace === criNamespace && topic === "/tasks/oom") containers.noteOutOfMemory(TaskOOM.decode(event.value));
    }),
  );
  await pods.recover();
  await imageVolumes.releaseOthers(new Set(podStore.list().map(({ id }) => id)));
  await containers.recover();
  // They may go on for as long as their containers do.
  for (const { id } of containerStore.list()) {
    endLeftCommands(exec, id).catch((thrown: unknown) => {
      const { message: error } = HullError.from(thrown);
      log.log("warn", "commands of an earlier run could not be ended", { container: id, error });
    });
  }
  const streaming = await StreamingServer.start({
    host: new TaskStreamingHost({
      ...exec,
      containers: containerStore,
      pods: podStore,
      attach: (id, streams, lost) => attachClient(containers.streamsOf(containerStore.get(id)), streams, { lost }),
    }),
    address: config.grpc.stream_server_address,
    port: Number(config.grpc.stream_server_port),
    tls: await keyPairOf(config.grpc),
    timeouts: { idle: config.grpc.stream_idle_timeout },
    log,
  });
  undo.defer(() => streaming.close());
  const starter = all<NriStarter>(pluginTypes.nri).get("nri");
  if (starter !== undefined) await nri.start(starter, containers);
  // The kubelet asks as long as it runs.
  keepCode();
  const running = undo.move();
  init.onStop(() => running.disposeAsync());
  return {
    runtime: runtimeService({
      status: { config, handlers, features, networks, warnings },
      pods,
      containers,
      podStore,
      containerStore,
      networks,
      streaming,
      exec,
      stats,
      events,
    }),
    images: imageService(images, log),
  };
}
