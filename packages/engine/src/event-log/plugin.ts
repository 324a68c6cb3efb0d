import type { EventExchange } from "../events/index.ts";
import { configTable, integer } from "../plugin/config.ts";
import { definePlugin } from "../plugin/index.ts";
import { pluginTypes } from "../plugin/types.ts";
import { FileEventLog } from "./log.ts";

/** The id of the plugin, of the type for what is internal. */
export const eventLogId = "event-log";

export const eventLogPlugin = definePlugin({
  type: pluginTypes.internal,
  id: eventLogId,
  requires: [pluginTypes.event],
  config: configTable({
    max_events: integer(20_000, "Events that are kept; 0: none", { min: 0 }),
    max_bytes: integer(8 * 1024 * 1024, "Bytes on disk that they may take", { min: 64 * 1024 }),
  }),
  start: ({ config, root, get, skip, log, onStop }) => {
    if (config.max_events === 0) skip("max_events is 0");
    const events = get<EventExchange>(pluginTypes.event);
    const kept = { maxEvents: config.max_events, maxBytes: config.max_bytes };
    const eventLog = new FileEventLog({ directory: root, ...kept, events, log });
    onStop(() => eventLog[Symbol.dispose]());
    return eventLog;
  },
});
