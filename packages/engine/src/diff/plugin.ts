import { isCode, unimplemented } from "@hull/errors";
import type { ContentStore } from "../content/index.ts";
import { configTable, flag, texts } from "../plugin/config.ts";
import { definePlugin } from "../plugin/index.ts";
import { hostPlatform } from "../plugin/platform.ts";
import { pluginTypes } from "../plugin/types.ts";
import { selfCommand } from "../self.ts";
import { UnpackerApplier } from "./apply.ts";
import type { Applier } from "./index.ts";

export const walkingPlugin = definePlugin({
  type: pluginTypes.differ,
  id: "walking",
  requires: [pluginTypes.content],
  start: ({ get, meta }): Applier => {
    meta.platforms.push(hostPlatform);
    return new UnpackerApplier({ content: get<ContentStore>(pluginTypes.content), command: selfCommand("unpack") });
  },
});

/** The differs that the configuration names, one after the other until one knows the layer's type. */
export const diffPlugin = definePlugin({
  type: pluginTypes.service,
  id: "diff-service",
  requires: [pluginTypes.differ],
  config: configTable({
    default: texts(["walking"], "Differs in the order in which they are asked"),
    sync_fs: flag(false, "Sync the file system after every layer"),
  }),
  start: ({ config, get }): Applier => {
    const appliers = config.default.map((id) => get<Applier>(pluginTypes.differ, id));
    return {
      async apply(ctx, descriptor, mounts, options = {}) {
        for (const applier of appliers) {
          try {
            return await applier.apply(ctx, descriptor, mounts, {
              ...options,
              syncFs: config.sync_fs || (options.syncFs ?? false),
            });
          } catch (error) {
            if (!isCode(error, "unimplemented")) throw error;
          }
        }
        throw unimplemented(`no differ knows the media type "${descriptor.mediaType}" of layer "${descriptor.digest}"`);
      },
    };
  },
});
