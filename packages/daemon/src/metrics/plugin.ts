import { configTable, flag } from "@hull/engine/plugin/config";
import { definePlugin } from "@hull/engine/plugin/index";

/** The type of what watches tasks' cgroups; name containerd's. */
export const taskMonitorType = "io.containerd.monitor.task.v1";

/** Says whether the cgroups of tasks are among the metrics. */
export interface TaskMonitor {
  readonly prometheus: boolean;
}

export const taskMonitorPlugin = definePlugin({
  type: taskMonitorType,
  id: "cgroups",
  config: configTable({ no_prometheus: flag(false, "Leave the cgroups of tasks out of the metrics") }),
  start: ({ config }): TaskMonitor => ({ prometheus: !config.no_prometheus }),
});
