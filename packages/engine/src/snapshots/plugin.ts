import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileSystemType } from "@hull/sys/mount-support";
import { which } from "@hull/sys/program";
import type { EventExchange } from "../events/index.ts";
import { collectorLater } from "../gc/later.ts";
import type { MetadataInstance } from "../metadata/plugin.ts";
import { configTable, flag, text, texts } from "../plugin/config.ts";
import { definePlugin, type PluginInit } from "../plugin/index.ts";
import { hostPlatform } from "../plugin/platform.ts";
import { pluginTypes } from "../plugin/types.ts";
import { BlockfileSnapshotter } from "./blockfile.ts";
import { BtrfsSnapshotter } from "./btrfs.ts";
import { copyTree } from "./copy-tree.ts";
import { ErofsSnapshotter } from "./erofs.ts";
import type { Snapshotter } from "./index.ts";
import { NativeSnapshotter } from "./native.ts";
import { OverlaySnapshotter } from "./overlayfs.ts";
import type { SnapshotterOptions } from "./records.ts";
import { deviceOf, whyNoOverlay } from "./supports.ts";

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

export const blockfilePlugin = definePlugin({
  type: pluginTypes.snapshotter,
  id: "blockfile",
  requires,
  config: configTable({
    root_path: rootPath,
    scratch_file: text("", "File with an empty file system: what snapshots begin as"),
    fs_type: text("", "Type of that file system; empty: ext4"),
    mount_options: texts([], "Options for every mount, beside loop"),
    recreate_scratch: flag(false, "Copy scratch_file at every start, not only at the first"),
  }),
  start: async (init) => {
    const { config, skip, meta, onStop } = init;
    const options = optionsOf(init, config.root_path);
    meta.exports.root = options.root;
    const scratch = join(options.root, "scratch");
    if (config.recreate_scratch || !existsSync(scratch)) {
      if (config.scratch_file === "") skip("no scratch file: make one with mkfs and name it as scratch_file");
      mkdirSync(options.root, { recursive: true, mode: 0o700 });
      await copyTree(config.scratch_file, scratch, new AbortController().signal);
    }
    const snapshotter = new BlockfileSnapshotter({
      ...options,
      scratch,
      fsType: config.fs_type === "" ? "ext4" : config.fs_type,
      mountOptions: config.mount_options,
    });
    onStop(() => snapshotter[Symbol.asyncDispose]());
    return snapshotter;
  },
});

export const btrfsPlugin = definePlugin({
  type: pluginTypes.snapshotter,
  id: "btrfs",
  requires,
  config: configTable({ root_path: rootPath }),
  start: (init) => {
    const options = optionsOf(init, init.config.root_path);
    init.meta.exports.root = options.root;
    // The directory itself need not be there: a daemon that doesn't use it shouldn't make it.
    const existing = nearestDirectory(options.root);
    const type = fileSystemType(existing);
    const device =
      (type === "btrfs" ? deviceOf(existing) : undefined) ??
      init.skip(`path ${options.root} (${type}) must be a btrfs filesystem to be used with the btrfs snapshotter`);
    mkdirSync(options.root, { recursive: true, mode: 0o700 });
    return new BtrfsSnapshotter({ ...options, device });
  },
});

/** The snapshotters by their names, as containerd lists what its gRPC service stands on. */
export const snapshotsServicePlugin = definePlugin({
  type: pluginTypes.service,
  id: "snapshots-service",
  requires: [pluginTypes.snapshotter],
  start: ({ all }) => all<Snapshotter>(pluginTypes.snapshotter),
});

export const erofsPlugin = definePlugin({
  type: pluginTypes.snapshotter,
  id: "erofs",
  requires,
  config: configTable({
    root_path: rootPath,
    ovl_mount_options: texts([], "Options for every overlay mount"),
  }),
  start: (init) => {
    const { config, skip, meta, onStop } = init;
    const program = which("mkfs.erofs") ?? skip("no program mkfs.erofs: install erofs-utils");
    if (!/\berofs$/m.test(readFileSync("/proc/filesystems", "utf8"))) {
      skip("EROFS unsupported, please `modprobe erofs`");
    }
    const options = optionsOf(init, config.root_path);
    meta.exports.root = options.root;
    const snapshotter = new ErofsSnapshotter({ ...options, program, mountOptions: config.ovl_mount_options });
    onStop(() => snapshotter[Symbol.asyncDispose]());
    return snapshotter;
  },
});

function nearestDirectory(path: string): string {
  return existsSync(path) ? path : nearestDirectory(dirname(path));
}

function optionsOf(init: PluginInit<unknown>, rootPath: string): SnapshotterOptions {
  init.meta.platforms.push(hostPlatform);
  return {
    metadata: init.get<MetadataInstance>(pluginTypes.metadata).metadata,
    events: init.get<EventExchange>(pluginTypes.event),
    root: rootPath === "" ? init.root : rootPath,
    changed: collectorLater(init).changed,
  };
}
