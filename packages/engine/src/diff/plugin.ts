import { isCode, unimplemented } from "@hull/errors";
import type { ContentStore } from "../content/index.ts";
import type { MountManager } from "../mount/manager/index.ts";
import { configTable, flag, texts } from "../plugin/config.ts";
import { definePlugin } from "../plugin/index.ts";
import { hostPlatform } from "../plugin/platform.ts";
import { pluginTypes } from "../plugin/types.ts";
import { selfCommand } from "../self.ts";
import { UnpackerApplier } from "./apply.ts";
import { PackerComparer } from "./compare.ts";
import type { Differ } from "./index.ts";

export const walkingPlugin = definePlugin({
  type: pluginTypes.differ,
  id: "walking",
  requires: [pluginTypes.content, pluginTypes.mountManager],
  start: ({ get, all, meta, properties }): Differ => {
    meta.platforms.push(hostPlatform);
    const content = get<ContentStore>(pluginTypes.content);
    const [mounts] = all<MountManager>(pluginTypes.mountManager).values();
    const applier = new UnpackerApplier({
      content,
      command: selfCommand("unpack"),
      processors: properties.streamProcessors,
      mounts,
    });
    const comparer = new PackerComparer({ content, command: selfCommand("pack"), mounts });
    return {
      apply: (ctx, descriptor, mounts, options) => applier.apply(ctx, descriptor, mounts, options),
      compare: (ctx, left, right, options) => comparer.compare(ctx, left, right, options),
    };
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
  start: ({ config, get }): Differ => {
    const differs = config.default.map((id) => get<Differ>(pluginTypes.differ, id));
    return {
      async apply(ctx, descriptor, mounts, options = {}) {
        const syncFs = config.sync_fs || (options.syncFs ?? false);
        const applied = await firstAble(differs, (one) => one.apply(ctx, descriptor, mounts, { ...options, syncFs }));
        if (applied !== undefined) return applied;
        throw unimplemented(`no differ knows the media type "${descriptor.mediaType}" of layer "${descriptor.digest}"`);
      },
      async compare(ctx, left, right, options = {}) {
        const made = await firstAble(differs, (one) => one.compare(ctx, left, right, options));
        if (made !== undefined) return made;
        throw unimplemented(`unsupported diff media type: ${options.mediaType}`);
      },
    };
  },
});

/** What the first differ that can do it gives; undefined if none can. */
async function firstAble<T>(differs: readonly Differ[], work: (differ: Differ) => Promise<T>): Promise<T | undefined> {
  for (const differ of differs) {
    try {
      return await work(differ);
    } catch (error) {
      if (!isCode(error, "unimplemented")) throw error;
    }
  }
  return undefined;
}
