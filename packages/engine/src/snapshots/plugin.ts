import type { EventExchange } from "../events/index.ts";
import { collectorLater } from "../gc/later.ts";
import type { MetadataInstance } from "../metadata/plugin.ts";
import { configTable, flag, text, texts } from "../plugin/config.ts";
import { definePlugin, type PluginInit } from "../plugin/index.ts";
import { hostPlatform } from "../plugin/platform.ts";
import { pluginTypes } from "../plugin/types.ts";
import { NativeSnapshotter } from "./native.ts";
import { OverlaySnapshotter } from "./overlayfs.ts";
import type { SnapshotterOptions } from "./records.ts";
import { whyNoOverlay } from "./supports.ts";

const requires = [pluginTypes.metadata, pluginTypes.event];
const rootPath = text("", "Where the snapshots are; empty: below the daemon's root");

export const overlayPlugin = definePlugin({
  type: pluginTypes.snapshotter,
  id: "overlayfs",
  requires,
  config: configTable({
    root_path: rootPath,
    upperdir_label: flag(false, "Show in a label where the changed files of a snapshot are"),
    sync_remove: flag(false, "Wait in remove until the files are gone"),
    mount_options: texts([], "Options for every overlay mount"),
    slow_chown: flag(false, "Let clients copy and chown files where the kernel can't show them with mapped ids"),
  }),
  start: async (init) => {
    const { config, skip, meta, onStop } = init;
    const options = optionsOf(init, config.root_path);
    meta.exports.root = options.root;
    const reason = await whyNoOverlay(options.root);
    if (reason !== undefined) skip(reason);
    const snapshotter = new OverlaySnapshotter({
      ...options,
      upperdirLabel: config.upperdir_label,
      syncRemove: config.sync_remove,
      mountOptions: config.mount_options,
    });
    // What clients read of it: whether mapped ids are to be had by nothing but the kernel.
    meta.capabilities.push(...snapshotter.capabilities, ...(config.slow_chown ? [] : ["only-remap-ids"]));
    onStop(() => snapshotter[Symbol.asyncDispose]());
    return snapshotter;
  },
});

export const nativePlugin = definePlugin({
  type: pluginTypes.snapshotter,
  id: "native",
  requires,
  config: configTable({ root_path: rootPath }),
  start: (init) => {
    const options = optionsOf(init, init.config.root_path);
    init.meta.exports.root = options.root;
    return new NativeSnapshotter(options);
  },
});

function optionsOf(init: PluginInit<unknown>, rootPath: string): SnapshotterOptions {
  init.meta.platforms.push(hostPlatform);
  return {
    metadata: init.get<MetadataInstance>(pluginTypes.metadata).metadata,
    events: init.get<EventExchange>(pluginTypes.event),
    root: rootPath === "" ? init.root : rootPath,
    changed: collectorLater(init).changed,
  };
}
