import type { ContainerStore } from "../containers/index.ts";
import type { EventExchange } from "../events/index.ts";
import type { NamespaceStore } from "../namespaces/index.ts";
import { configTable, duration } from "../plugin/config.ts";
import { definePlugin } from "../plugin/index.ts";
import { pluginTypes } from "../plugin/types.ts";
import type { TaskManager } from "../runtime/index.ts";
import type { Snapshotter } from "../snapshots/index.ts";
import { ContainerRestarts } from "./monitor.ts";

const defaultInterval = 10_000;

/** The restart monitor. Whoever has found the tasks of an earlier run again calls its `begin`. */
export const restartPlugin = definePlugin({
  type: pluginTypes.containerMonitor,
  id: "restart",
  requires: [pluginTypes.event, pluginTypes.service, pluginTypes.runtime, pluginTypes.snapshotter],
  config: configTable({ interval: duration("10s", "How often containers with restart labels are looked at") }),
  start: ({ config, get, all, log, meta, onStop }) => {
    meta.capabilities.push("no", "always", "on-failure", "unless-stopped");
    const snapshotters = all<Snapshotter>(pluginTypes.snapshotter);
    const restarts = new ContainerRestarts({
      events: get<EventExchange>(pluginTypes.event),
      namespaces: get<NamespaceStore>(pluginTypes.service, "namespaces-service"),
      containers: get<ContainerStore>(pluginTypes.service, "containers-service"),
      tasks: get<TaskManager>(pluginTypes.runtime),
      snapshotter: (name) => snapshotters.get(name),
      interval: config.interval > 0 ? config.interval : defaultInterval,
      log,
    });
    onStop(() => restarts.close());
    return restarts;
  },
});
