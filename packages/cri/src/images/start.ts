import { join } from "node:path";
import type { ContentStore } from "@hull/engine/content/index";
import type { EventExchange } from "@hull/engine/events/index";
import type { ImageStore } from "@hull/engine/images/index";
import type { PluginInit } from "@hull/engine/plugin/index";
import { pluginTypes } from "@hull/engine/plugin/types";
import type { Snapshotter } from "@hull/engine/snapshots/index";
import type { Transfer } from "@hull/engine/transfer/index";
import type { Warnings } from "@hull/engine/warnings/index";
import type { CriConfig } from "../config.ts";
import { CriImages } from "./index.ts";

/** The images of this daemon's engine, read and followed until it stops. @throws as CriImages */
export async function startImages(init: PluginInit<unknown>, { images, runtime }: CriConfig): Promise<CriImages> {
  const roots = new Map(
    init
      .plugins()
      .filter(({ type }) => type === pluginTypes.snapshotter)
      .map(({ id, exports }) => [id, exports.root]),
  );
  const started = new CriImages({
    config: images,
    transfer: init.get<Transfer>(pluginTypes.transfer),
    images: init.get<ImageStore>(pluginTypes.service, "images-service"),
    content: init.get<ContentStore>(pluginTypes.content),
    events: init.get<EventExchange>(pluginTypes.event),
    snapshotters: init.all<Snapshotter>(pluginTypes.snapshotter),
    handlerSnapshotters: Object.fromEntries(
      Object.entries(runtime.containerd.runtimes).map(([name, { snapshotter }]) => [name, snapshotter]),
    ),
    rootOf: (name) => roots.get(name) ?? join(init.root, "..", `${pluginTypes.snapshotter}.${name}`),
    deprecated: (table) => init.get<Warnings>(pluginTypes.warning).emit(table),
    log: init.log,
  });
  init.onStop(() => started[Symbol.dispose]());
  await started.load();
  return started;
}
