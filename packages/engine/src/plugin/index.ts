import type { StreamProcessor } from "../diff/processors.ts";
import type { Logger } from "../log.ts";
import type { PluginRecord } from "./graph.ts";

/**
 * Plugins: the parts of the daemon, each a declaration with a type, an id and what it requires.
 *
 *   definePlugin ──► PluginGraph.start ──► started | skipped (can't run here, with a reason) | failed (with its error) | disabled
 *
 * A requirement is a type: it means after all plugins of that type. A plugin that is skipped or fails doesn't stop the others, unless
 * the configuration requires it. Types and ids are containerd's, e.g. `io.containerd.snapshotter.v1` `overlayfs`.
 */
export interface PluginDeclaration<Config, Instance> {
  readonly type: string;
  readonly id: string;
  /** Types that must have been started before. */
  readonly requires?: readonly string[];
  /** Checks and completes the plugin's table of the configuration; keys it doesn't name are warned of. */
  readonly config?: ConfigSchema<Config>;
  start(init: PluginInit<Config>): Promise<Instance> | Instance;
}

/** What `config` has to be: `configTable` makes one, a zod object schema is one too. */
export interface ConfigSchema<Config> {
  parse(value: unknown): Config;
  readonly shape?: Readonly<Record<string, unknown>>;
}

export interface PluginInit<Config> {
  readonly config: Config;
  /** `<root>/<type>.<id>`: made on demand by the plugin, survives reboots. */
  readonly root: string;
  /** `<state>/<type>.<id>`: gone after a reboot. */
  readonly state: string;
  /** The instance of a started plugin. @throws NotFound if none of that type (and id) was started */
  get<T>(type: string, id?: string): T;
  /** All started instances of a type, by id. */
  all<T>(type: string): ReadonlyMap<string, T>;
  /** Ends the start: this plugin can't run here, and that is no error. */
  skip(reason: string): never;
  /** What introspection shows of the plugin. */
  readonly meta: { exports: Record<string, string>; capabilities: string[]; platforms: string[] };
  /** Every plugin that has been started or passed over so far. */
  plugins(): readonly PluginRecord[];
  readonly log: Logger;
  readonly properties: PluginProperties;
  /**
   * Tells which keys of the plugin's table may change while it runs: `apply` gets the whole table with their new values. A change of any
   * other key waits for the next start, which whoever reloads is told.
   */
  onReload(keys: readonly (keyof Config & string)[], apply: (config: Config) => void): void;
  /** Runs when the daemon stops, in reverse order of start. */
  onStop(stop: () => Promise<void> | void): void;
}

/** What whoever starts the plugins knows of itself. */
export interface PluginProperties {
  /** Where clients reach the gRPC services, if they are served. */
  readonly grpcAddress?: string;
  /** Where shims send events, if anybody listens for them. */
  readonly ttrpcAddress?: string;
  /** Milliseconds by the names of the configuration, e.g. `io.containerd.timeout.task.state`. */
  readonly timeouts?: Readonly<Record<string, number>>;
  /** Programs that layers of other types than the usual ones go through. */
  readonly streamProcessors?: readonly StreamProcessor[];
}

/** Declares a plugin (typed identity). */
export function definePlugin<Config, Instance>(
  declaration: PluginDeclaration<Config, Instance>,
): PluginDeclaration<Config, Instance> {
  return declaration;
}
