import type { EventExchange } from "../events/index.ts";
import { collectorLater } from "../gc/later.ts";
import type { PluginInit } from "../plugin/index.ts";
import { pluginTypes } from "../plugin/types.ts";
import type { MetadataInstance } from "./plugin.ts";
import type { StoreOptions } from "./store-options.ts";

/** What a store's plugin requires. */
export const storeRequires = [pluginTypes.metadata, pluginTypes.event];

/** What a store works with, from the plugins started before it. */
export function storeOptions(init: PluginInit<unknown>): StoreOptions {
  return {
    metadata: init.get<MetadataInstance>(pluginTypes.metadata).metadata,
    events: init.get<EventExchange>(pluginTypes.event),
    collector: collectorLater(init),
  };
}
