import { dirname, join } from "node:path";
import type { ContainerStore } from "../containers/index.ts";
import type { EventExchange } from "../events/index.ts";
import type { NamespaceStore } from "../namespaces/index.ts";
import { definePlugin } from "../plugin/index.ts";
import { pluginTypes } from "../plugin/types.ts";
import type { TaskManager } from "../runtime/index.ts";
import { ContainerHealth, healthFile } from "./index.ts";

/** Health checks. Whoever has found the tasks of an earlier run again calls its `begin`. */
export const healthPlugin = definePlugin({
  type: pluginTypes.containerMonitor,
  id: "health",
  requires: [pluginTypes.event, pluginTypes.service, pluginTypes.runtime],
  start: ({ root, state, get, log, onStop }) => {
    const health = new ContainerHealth({
      events: get<EventExchange>(pluginTypes.event),
      namespaces: get<NamespaceStore>(pluginTypes.service, "namespaces-service"),
      containers: get<ContainerStore>(pluginTypes.service, "containers-service"),
      tasks: get<TaskManager>(pluginTypes.runtime),
      // Where the auto-remove plugin says that a container's own files are.
      fileOf: (namespace, id) => join(dirname(root), "containers", namespace, id, healthFile),
      fifos: join(state, "fifos"),
      log,
    });
    onStop(() => health.close());
    return health;
  },
});
