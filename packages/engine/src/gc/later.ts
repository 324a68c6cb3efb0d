import type { PluginInit } from "../plugin/index.ts";
import { pluginTypes } from "../plugin/types.ts";
import type { GarbageCollector } from "./index.ts";

/** The collector for those that start before it: the stores that it collects in. Until it is there, nothing is collected. */
export function collectorLater({
  all,
}: Pick<PluginInit<unknown>, "all">): Pick<GarbageCollector, "changed" | "collect"> {
  const collector = (): GarbageCollector | undefined => all<GarbageCollector>(pluginTypes.gc).values().next().value;
  return {
    changed: (kind) => collector()?.changed(kind),
    collect: async () => (await collector()?.collect()) ?? nothing,
  };
}

const nothing = { busyMs: 0, pauseMs: 0, removed: { images: 0, content: 0, snapshots: 0, leases: 0, ingests: 0 } };
