import type { LocalContentStore } from "../content/store.ts";
import type { EventExchange } from "../events/index.ts";
import type { MetadataInstance } from "../metadata/plugin.ts";
import type { MountManager } from "../mount/manager/index.ts";
import { type ConfigOf, configTable, duration, integer, number } from "../plugin/config.ts";
import { definePlugin } from "../plugin/index.ts";
import { pluginTypes } from "../plugin/types.ts";
import type { Snapshotter } from "../snapshots/index.ts";
import { MetadataCollector } from "./collector.ts";
import type { SchedulerOptions } from "./scheduler.ts";

const keys = {
  pause_threshold: number(0.02, "Largest share of time that collecting may take; 0: no limit", { min: 0, max: 0.5 }),
  deletion_threshold: integer(0, "So many deletions ask for a run at once; 0: none do", { min: 0 }),
  mutation_threshold: integer(100, "So many changes make the next run due without a deletion", { min: 0 }),
  schedule_delay: duration("0s", "From the deletion that asks for a run to the run"),
  startup_delay: duration("100ms", "From the start to the first run"),
};

const scheduleOf = (config: ConfigOf<typeof keys>): SchedulerOptions => ({
  pauseThreshold: config.pause_threshold,
  deletionThreshold: config.deletion_threshold,
  mutationThreshold: config.mutation_threshold,
  scheduleDelay: config.schedule_delay,
  startupDelay: config.startup_delay,
});

export const collectorPlugin = definePlugin({
  type: pluginTypes.gc,
  id: "scheduler",
  requires: [pluginTypes.metadata, pluginTypes.event],
  config: configTable(keys),
  start: ({ config, get, all, log, onReload, onStop }) => {
    const collector = new MetadataCollector({
      metadata: get<MetadataInstance>(pluginTypes.metadata).metadata,
      events: get<EventExchange>(pluginTypes.event),
      cleanUps: () => [
        // Before the snapshots: what is mounted of them.
        ...[...all<MountManager>(pluginTypes.mountManager).values()].map((manager) => () => manager.cleanup()),
        ...[...all<Snapshotter>(pluginTypes.snapshotter).values()].map((snapshotter) => () => snapshotter.cleanup()),
        ...[...all<LocalContentStore>(pluginTypes.content).values()].map((content) => () => content.collectGarbage()),
      ],
      schedule: scheduleOf(config),
      log,
    });
    onReload(Object.keys(keys) as (keyof typeof keys)[], (changed) => collector.reschedule(scheduleOf(changed)));
    onStop(() => collector.close());
    return collector;
  },
});
