import { randomUUID } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { releaseOf } from "@hull/api/release";
import { criPlugins } from "@hull/cri/plugin";
import type { ContainerStore } from "@hull/engine/containers/index";
import { type StandIns, standInsId } from "@hull/engine/containers/stand-ins";
import type { ContentStore } from "@hull/engine/content/index";
import type { Differ } from "@hull/engine/diff/index";
import type { EventLog } from "@hull/engine/event-log/index";
import { eventLogId } from "@hull/engine/event-log/plugin";
import type { EventExchange } from "@hull/engine/events/index";
import type { ImageStore } from "@hull/engine/images/index";
import type { LeaseStore } from "@hull/engine/leases/index";
import type { MountManager } from "@hull/engine/mount/manager/index";
import type { NamespaceStore } from "@hull/engine/namespaces/index";
import type { AnyPlugin } from "@hull/engine/plugin/graph";
import { definePlugin, type PluginInit } from "@hull/engine/plugin/index";
import { pluginTypes } from "@hull/engine/plugin/types";
import { Checkpoints } from "@hull/engine/runtime/checkpoints";
import type { TaskManager } from "@hull/engine/runtime/index";
import type { ShimTaskManager } from "@hull/engine/runtime/task-manager";
import type { SandboxController } from "@hull/engine/sandbox/controller";
import type { SandboxStore } from "@hull/engine/sandbox/index";
import type { Snapshotter } from "@hull/engine/snapshots/index";
import type { Transfer } from "@hull/engine/transfer/index";
import type { Warnings } from "@hull/engine/warnings/index";
import { taskMonitorPlugin } from "./metrics/plugin.ts";
import type { Service } from "./server/service.ts";
import { containersService } from "./services/containers.ts";
import { contentService } from "./services/content.ts";
import { diffService } from "./services/diff.ts";
import { eventsService } from "./services/events.ts";
import { healthService } from "./services/health.ts";
import { imagesService } from "./services/images.ts";
import { introspectionService } from "./services/introspection.ts";
import { leasesService } from "./services/leases.ts";
import { mountsService } from "./services/mounts.ts";
import { namespacesService } from "./services/namespaces.ts";
import { sandboxControllerService, sandboxStoreService } from "./services/sandboxes.ts";
import { snapshotsService } from "./services/snapshots.ts";
import { Streams, streamingService } from "./services/streaming.ts";
import { tasksService } from "./services/tasks.ts";
import { transferService } from "./services/transfer.ts";
import { versionService } from "./services/version.ts";
import { otlpPlugin, tracingPlugin } from "./tracing/plugin.ts";
import { revision, version } from "./version.ts";

const { grpc, service } = pluginTypes;

/** A service's plugin: its instance is what the servers serve. */
function servicePlugin(
  id: string,
  requires: readonly string[],
  start: (init: PluginInit<unknown>) => Service,
): AnyPlugin {
  return definePlugin({ type: grpc, id, requires, start });
}

/** What the service that opens streams shares with those that use them. */
const streaming = "io.containerd.streaming.v1";

/** Every gRPC service as a plugin, for a graph that has the engine's. */
export const servicePlugins: readonly AnyPlugin[] = [
  servicePlugin("introspection", [service, pluginTypes.warning, pluginTypes.runtime], ({ root, plugins, get }) =>
    introspectionService({
      uuid: persistentUuid(root),
      plugins,
      warnings: () => get<Warnings>(pluginTypes.warning).list(),
      runtimeInfo: (runtime, options) => get<ShimTaskManager>(pluginTypes.runtime).shims.info(runtime, options),
    }),
  ),
  servicePlugin("containers", [service, pluginTypes.internal], ({ get }) =>
    containersService(
      get<ContainerStore>(service, "containers-service"),
      get<StandIns>(pluginTypes.internal, standInsId),
    ),
  ),
  servicePlugin("content", [service], ({ get }) => contentService(get<ContentStore>(pluginTypes.content))),
  servicePlugin("diff", [service], ({ get }) => diffService(get<Differ>(service, "diff-service"))),
  servicePlugin("events", [pluginTypes.event, pluginTypes.internal], ({ get, all }) =>
    eventsService(get<EventExchange>(pluginTypes.event), all<EventLog>(pluginTypes.internal).get(eventLogId)),
  ),
  servicePlugin("healthcheck", [], () => healthService()),
  servicePlugin("images", [service], ({ get }) => imagesService(get<ImageStore>(service, "images-service"))),
  servicePlugin("leases", [pluginTypes.lease], ({ get }) => leasesService(get<LeaseStore>(pluginTypes.lease))),
  servicePlugin("mounts", [pluginTypes.mountManager], ({ get }) =>
    mountsService(get<MountManager>(pluginTypes.mountManager)),
  ),
  servicePlugin("namespaces", [service], ({ get }) =>
    namespacesService(get<NamespaceStore>(service, "namespaces-service")),
  ),
  servicePlugin("sandboxes", [pluginTypes.sandboxStore], ({ get }) =>
    sandboxStoreService(get<SandboxStore>(pluginTypes.sandboxStore)),
  ),
  servicePlugin(
    "sandbox-controllers",
    [pluginTypes.sandboxController, pluginTypes.sandboxStore, pluginTypes.event],
    ({ get, all }) =>
      sandboxControllerService({
        controllers: all<SandboxController>(pluginTypes.sandboxController),
        sandboxes: get<SandboxStore>(pluginTypes.sandboxStore),
        events: get<EventExchange>(pluginTypes.event),
      }),
  ),
  servicePlugin("snapshots", [pluginTypes.snapshotter], ({ all }) =>
    snapshotsService(all<Snapshotter>(pluginTypes.snapshotter)),
  ),
  definePlugin({ type: streaming, id: "manager", requires: [], start: () => new Streams() }),
  servicePlugin("streaming", [streaming], ({ get }) => streamingService(get<Streams>(streaming))),
  servicePlugin(
    "tasks",
    [service, pluginTypes.internal, pluginTypes.runtime, pluginTypes.content],
    ({ get, state }) => {
      const tasks = get<TaskManager>(pluginTypes.runtime);
      const containers = get<ContainerStore>(service, "containers-service");
      const content = get<ContentStore>(pluginTypes.content);
      const differ = get<Differ>(service, "diff-service");
      const directory = join(state, "checkpoints");
      const standIns = get<StandIns>(pluginTypes.internal, standInsId);
      return tasksService(tasks, new Checkpoints({ tasks, containers, content, differ, directory }), standIns);
    },
  ),
  servicePlugin("transfer", [pluginTypes.transfer, streaming, service], ({ get, log }) =>
    transferService({
      transfer: get<Transfer>(pluginTypes.transfer),
      images: get<ImageStore>(service, "images-service"),
      streams: get<Streams>(streaming),
      log,
    }),
  ),
  servicePlugin("version", [], () => versionService(releaseOf(version), revision)),
  ...criPlugins,
  taskMonitorPlugin,
  otlpPlugin,
  tracingPlugin,
];

/** The uuid that this root has had since its first start. */
function persistentUuid(directory: string): string {
  const file = join(directory, "uuid");
  try {
    const uuid = readFileSync(file, "utf8").trim();
    if (uuid !== "") return uuid;
  } catch {
    // The first start: there is none yet.
  }
  const uuid = randomUUID();
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  writeFileSync(file, uuid, { mode: 0o600 });
  return uuid;
}
