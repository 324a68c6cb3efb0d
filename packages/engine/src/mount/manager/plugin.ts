import { dirname, join } from "node:path";
import { collectorLater } from "../../gc/later.ts";
import type { MetadataInstance } from "../../metadata/plugin.ts";
import { definePlugin } from "../../plugin/index.ts";
import { pluginTypes } from "../../plugin/types.ts";
import { LocalMountManager } from "./manager.ts";

/** The id is containerd's, by which clients and configurations know it. */
export const mountManagerPlugin = definePlugin({
  type: pluginTypes.mountManager,
  id: "bolt",
  requires: [pluginTypes.metadata],
  start: (init) =>
    new LocalMountManager({
      metadata: init.get<MetadataInstance>(pluginTypes.metadata).metadata,
      targets: join(init.state, "t"),
      roots: [dirname(init.root)],
      changed: collectorLater(init).changed,
    }),
});
