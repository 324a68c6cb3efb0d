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
  start: ({ config, root, meta, onStop }): MetadataInstance => {
    const metadata = Metadata.open(root);
    onStop(() => metadata[Symbol.dispose]());
    meta.exports.path = root;
    meta.exports.policy = config.content_sharing_policy;
    return { metadata, contentSharing: config.content_sharing_policy };
  },
});
