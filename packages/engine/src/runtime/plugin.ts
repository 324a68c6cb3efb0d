import { dirname } from "node:path";
import { startProgram, which } from "@hull/sys/program";
import type { ContainerStore } from "../containers/index.ts";
import type { EventExchange } from "../events/index.ts";
import type { MountManager } from "../mount/manager/index.ts";
import { configTable, integer, text, texts } from "../plugin/config.ts";
import { definePlugin } from "../plugin/index.ts";
import { hostPlatform } from "../plugin/platform.ts";
import { pluginTypes } from "../plugin/types.ts";
import { selfCommand } from "../self.ts";
import { ShimTaskManager, type TaskTimeouts } from "./task-manager.ts";

/** What the configuration calls the task manager's timeouts. */
const timeouts: Readonly<Record<keyof TaskTimeouts, string>> = {
  cleanup: "io.containerd.timeout.shim.cleanup",
  load: "io.containerd.timeout.shim.load",
  shutdown: "io.containerd.timeout.shim.shutdown",
  state: "io.containerd.timeout.task.state",
};

export const tasksPlugin = definePlugin({
  type: pluginTypes.runtime,
  id: "task",
  requires: [pluginTypes.event, pluginTypes.metadata, pluginTypes.mountManager, pluginTypes.service],
  config: configTable({
    platforms: texts([hostPlatform], "Platforms of the containers that can run here"),
    oci_runtime: text("", "Program that runs containers which name none; empty: crun where it works, else runc"),
    spare_shims: integer(1, "Shims that are started ahead of need", { min: 0, max: 64 }),
  }),
  start: ({ config, root, state, get, all, log, properties, meta, onStop }) => {
    meta.platforms.push(...config.platforms);
    const given = Object.entries(timeouts).flatMap(([name, key]) => {
      const ms = properties.timeouts?.[key];
      return ms === undefined ? [] : [[name, ms]];
    });
    const tasks = new ShimTaskManager({
      // The task manager names its directories itself, as the shims that it finds there expect.
      directories: { root: dirname(root), state: dirname(state) },
      containers: get<ContainerStore>(pluginTypes.service, "containers-service"),
      events: get<EventExchange>(pluginTypes.event),
      daemon: {
        grpc: properties.grpcAddress ?? "",
        ttrpc: properties.ttrpcAddress ?? "",
        binary: process.execPath,
      },
      shimCommand: selfCommand("shim"),
      spareShims: config.spare_shims,
      ociRuntime: config.oci_runtime === "" ? undefined : config.oci_runtime,
      timeouts: Object.fromEntries(given),
      mounts: all<MountManager>(pluginTypes.mountManager).values().next().value,
      log,
    });
    tryCriu();
    onStop(() => tasks.close());
    return tasks;
  },
});

/** Has CRIU, where it is installed, find out whether it works here: shims go by the record that it leaves then. */
function tryCriu(): void {
  const criu = which("criu");
  if (criu === null) return;
  try {
    startProgram([criu, "check"], { stdio: ["ignore", "ignore", "ignore"] });
  } catch {
    // One that can't be run doesn't work.
  }
}
