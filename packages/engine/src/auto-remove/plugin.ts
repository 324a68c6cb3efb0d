import { readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { ContainerStore } from "../containers/index.ts";
import { contextFor } from "../context.ts";
import type { EventExchange } from "../events/index.ts";
import { definePlugin } from "../plugin/index.ts";
import { pluginTypes } from "../plugin/types.ts";
import type { TaskManager } from "../runtime/index.ts";
import type { Snapshotter } from "../snapshots/index.ts";
import { removeAtExit } from "./index.ts";
import { attachedVolumes, volumesLabel } from "./volumes.ts";

/**
 * Removes containers that are to go when they end. Says in `logs`, `volumes` and `containers` where clients keep
 * those, and files, of containers on this root.
 */
export const autoRemovePlugin = definePlugin({
  type: pluginTypes.containerMonitor,
  id: "auto-remove",
  requires: [pluginTypes.event, pluginTypes.service, pluginTypes.runtime, pluginTypes.snapshotter],
  start: ({ root, get, all, log, meta, onStop }) => {
    const logs = join(dirname(root), "logs");
    const volumes = join(dirname(root), "volumes");
    meta.exports.logs = logs;
    meta.exports.volumes = volumes;
    const containers = join(dirname(root), "containers");
    meta.exports.containers = containers;
    const stop = new AbortController();
    const snapshotters = all<Snapshotter>(pluginTypes.snapshotter);
    const store = get<ContainerStore>(pluginTypes.service, "containers-service");
    const removing = removeAtExit({
      events: get<EventExchange>(pluginTypes.event),
      containers: store,
      tasks: get<TaskManager>(pluginTypes.runtime),
      snapshotter: (name) => snapshotters.get(name),
      removed: async ({ namespace, id, labels }) => {
        await removeLogs(join(logs, namespace), `${id}.log`);
        await rm(join(containers, namespace, id), { recursive: true, force: true });
        const own = attachedVolumes(labels).filter(({ anonymous }) => anonymous);
        if (own.length === 0) return;
        // Another container may have taken it over (--volumes-from).
        const others = await store.list(contextFor(namespace), [`labels."${volumesLabel}"`]);
        const used = new Set(others.flatMap((other) => attachedVolumes(other.labels).map(({ name }) => name)));
        const going = own.filter(({ name }) => !used.has(name));
        await Promise.all(
          going.map(({ name }) => rm(join(volumes, namespace, name), { recursive: true, force: true })),
        );
      },
      log,
      signal: stop.signal,
    });
    onStop(async () => {
      stop.abort();
      await removing;
    });
  },
});

/** Removes a log, and with a number behind its name what it was before it reached its size. */
async function removeLogs(directory: string, name: string): Promise<void> {
  const files = await readdir(directory).catch(() => []);
  const own = files.filter(
    (file) => file === name || (file.startsWith(`${name}.`) && /^\d+$/.test(file.slice(name.length + 1))),
  );
  await Promise.all(own.map((file) => rm(join(directory, file), { force: true })));
}
