import { configTable, oneOf } from "../plugin/config.ts";
import { definePlugin } from "../plugin/index.ts";
import { pluginTypes } from "../plugin/types.ts";
import { Metadata } from "./index.ts";

/** What the stores get from the metadata plugin. */
export interface MetadataInstance {
  readonly metadata: Metadata;
  /** How namespaces share content. */
  readonly contentSharing: "shared" | "isolated";
}

/** The id is that of containerd's, whose database is bolt; clients and configurations know it by that. */
export const metadataPlugin = definePlugin({
  type: pluginTypes.metadata,
  id: "bolt",
  config: configTable({
    content_sharing_policy: oneOf(
      ["shared", "isolated"],
      "shared",
      "Whether a namespace gets content of another by naming its digest",
    ),
  }),
  start: ({ config, root, meta, onStop, log }): MetadataInstance => {
    const metadata = Metadata.open(root);
    const { dropped, doubtful } = metadata.unsynced.dropLost();
    if (dropped > 0)
      log.log("warn", "snapshots were not on disk when the power went: unpacked again when they are needed", {
        dropped,
      });
    if (doubtful.length > 0)
      log.log("warn", "snapshots may lack files since the power went", { snapshots: doubtful.join(", ") });
    onStop(() => metadata[Symbol.dispose]());
    meta.exports.path = root;
    meta.exports.policy = config.content_sharing_policy;
    return { metadata, contentSharing: config.content_sharing_policy };
  },
});
