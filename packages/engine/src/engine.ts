import { mkdirSync } from "node:fs";
import type { ContainerStore } from "./containers/index.ts";
import type { ContentStore } from "./content/index.ts";
import type { Differ } from "./diff/index.ts";
import type { EventExchange } from "./events/index.ts";
import type { GarbageCollector } from "./gc/index.ts";
import type { ContainerHealth } from "./health/index.ts";
import type { ImageStore } from "./images/index.ts";
import type { LeaseStore } from "./leases/index.ts";
import type { Metadata } from "./metadata/index.ts";
import type { MetadataInstance } from "./metadata/plugin.ts";
import type { NamespaceStore } from "./namespaces/index.ts";
import { type AnyPlugin, PluginGraph, type PluginGraphOptions } from "./plugin/graph.ts";
import { pluginTypes } from "./plugin/types.ts";
import { enginePlugins } from "./plugins.ts";
import type { ContainerRestarts } from "./restart/index.ts";
import type { TaskManager } from "./runtime/index.ts";
import type { SandboxController } from "./sandbox/controller.ts";
import type { SandboxStore } from "./sandbox/index.ts";
import type { Snapshotter } from "./snapshots/index.ts";
import type { Transfer } from "./transfer/index.ts";

export interface EngineOptions extends PluginGraphOptions {
  /** Plugins beside the engine's own. */
  plugins?: readonly AnyPlugin[];
}

/**
 * All subsystems, started on one root. One engine a root at a time: whoever opens it sees to that.
 *
 *   openEngine ──► subsystems usable ──resume──► tasks of an earlier run known again ──close──► everything let go; containers go on
 *
 * A subsystem whose plugin isn't running throws NotFound when it is asked for, saying why.
 */
export class Engine implements AsyncDisposable {
  readonly plugins: PluginGraph;

  constructor(plugins: PluginGraph) {
    this.plugins = plugins;
  }

  get metadata(): Metadata {
    return this.plugins.get<MetadataInstance>(pluginTypes.metadata).metadata;
  }

  get events(): EventExchange {
    return this.plugins.get(pluginTypes.event);
  }

  get content(): ContentStore {
    return this.plugins.get(pluginTypes.content);
  }

  /** By the name that clients choose them by. */
  get snapshotters(): ReadonlyMap<string, Snapshotter> {
    return this.plugins.all(pluginTypes.snapshotter);
  }

  get namespaces(): NamespaceStore {
    return this.plugins.get(pluginTypes.service, "namespaces-service");
  }

  get images(): ImageStore {
    return this.plugins.get(pluginTypes.service, "images-service");
  }

  get containers(): ContainerStore {
    return this.plugins.get(pluginTypes.service, "containers-service");
  }

  get leases(): LeaseStore {
    return this.plugins.get(pluginTypes.lease);
  }

  get sandboxes(): SandboxStore {
    return this.plugins.get(pluginTypes.sandboxStore);
  }

  get gc(): GarbageCollector {
    return this.plugins.get(pluginTypes.gc);
  }

  get diff(): Differ {
    return this.plugins.get(pluginTypes.service, "diff-service");
  }

  get transfer(): Transfer {
    return this.plugins.get(pluginTypes.transfer);
  }

  get tasks(): TaskManager {
    return this.plugins.get(pluginTypes.runtime);
  }

  /** By the name that sandboxes choose them by. */
  get sandboxControllers(): ReadonlyMap<string, SandboxController> {
    return this.plugins.all(pluginTypes.sandboxController);
  }

  /** Finds the tasks of an earlier run again. To be called once, when events of their shims can arrive. */
  async resume(): Promise<void> {
    for (const controller of this.sandboxControllers.values()) await controller.load();
    for (const tasks of this.plugins.all<TaskManager>(pluginTypes.runtime).values()) await tasks.load();
    const monitors = this.plugins.all<ContainerRestarts | ContainerHealth>(pluginTypes.containerMonitor);
    for (const id of ["restart", "health"]) monitors.get(id)?.begin();
  }

  close(): Promise<void> {
    return this.plugins.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Opens the engine on a root. @throws what PluginGraph.start throws */
export async function openEngine(options: EngineOptions): Promise<Engine> {
  // Before any plugin makes them for itself alone: root of a user namespace has to come through to its container's files.
  for (const directory of [options.root, options.state]) mkdirSync(directory, { recursive: true, mode: 0o711 });
  return new Engine(await PluginGraph.start([...enginePlugins, ...(options.plugins ?? [])], options));
}
