import type { EventExchange } from "../events/index.ts";
import { collectorLater } from "../gc/later.ts";
import type { MetadataInstance } from "../metadata/plugin.ts";
import { definePlugin } from "../plugin/index.ts";
import { pluginTypes } from "../plugin/types.ts";
import type { ContentStore } from "./index.ts";
import { LocalContentStore } from "./store.ts";

export const contentPlugin = definePlugin({
  type: pluginTypes.content,
  id: "content",
  requires: [pluginTypes.metadata, pluginTypes.event],
  start: (init) => {
    const { metadata, contentSharing } = init.get<MetadataInstance>(pluginTypes.metadata);
    init.meta.exports.root = init.root;
    return new LocalContentStore({
      metadata,
      events: init.get<EventExchange>(pluginTypes.event),
      root: init.root,
      sharing: contentSharing,
      changed: collectorLater(init).changed,
    });
  },
});

/** The content store under the name by which containerd lists what its gRPC service stands on. */
export const contentServicePlugin = definePlugin({
  type: pluginTypes.service,
  id: "content-service",
  requires: [pluginTypes.content],
  start: ({ get }) => get<ContentStore>(pluginTypes.content),
});
