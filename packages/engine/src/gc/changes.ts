import type { PluginInit } from "../plugin/index.ts";
import { pluginTypes } from "../plugin/types.ts";
import type { GarbageCollector } from "./index.ts";

/** Tells the collector of a change, once there is one: it starts after the stores that it collects in. */
export function tellCollector({ all }: Pick<PluginInit<unknown>, "all">): GarbageCollector["changed"] {
  return (kind) => {
    for (const collector of all<GarbageCollector>(pluginTypes.gc).values()) collector.changed(kind);
  };
}
