import { dirname } from "node:path";
import { storeOptions, storeRequires } from "../metadata/store-init.ts";
import { definePlugin } from "../plugin/index.ts";
import { pluginTypes } from "../plugin/types.ts";
import type { ShimTaskManager } from "../runtime/task-manager.ts";
import { ShimSandboxController } from "./shim-controller.ts";
import { SqlSandboxStore } from "./store.ts";

export const sandboxStorePlugin = definePlugin({
  type: pluginTypes.sandboxStore,
  id: "local",
  requires: storeRequires,
  start: (init) => new SqlSandboxStore(storeOptions(init)),
});

/** How long a shim of an earlier run may take to answer unless the configuration says, ms. */
const loadTimeoutMs = 5000;

/** Sandboxes by shims that know them; clients choose it by the name `shim`. */
export const shimControllerPlugin = definePlugin({
  type: pluginTypes.sandboxController,
  id: "shim",
  requires: [pluginTypes.runtime],
  start: ({ root, state, get, log, properties, onStop }) => {
    const tasks = get<ShimTaskManager>(pluginTypes.runtime);
    const controller = new ShimSandboxController({
      directories: { root: dirname(root), state: dirname(state) },
      shims: tasks.shims,
      optionsFor: (runtime, given) => tasks.optionsFor(runtime, given),
      loadTimeoutMs: properties.timeouts?.["io.containerd.timeout.shim.load"] ?? loadTimeoutMs,
      log,
    });
    onStop(() => controller.close());
    return controller;
  },
});
