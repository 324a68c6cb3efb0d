import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { failedPrecondition, HullError, invalidArgument, notFound } from "@hull/errors";
import { type Logger, silent } from "../log.ts";
import type { PluginDeclaration, PluginInit, PluginProperties } from "./index.ts";

/** A declaration of any configuration and instance. */
export type AnyPlugin = PluginDeclaration<unknown, unknown>;

export type PluginStatus =
  | { kind: "ok" }
  | { kind: "skipped"; reason: string }
  | { kind: "failed"; error: HullError }
  | { kind: "disabled" };

/** What introspection tells of a plugin. */
export interface PluginRecord {
  readonly type: string;
  readonly id: string;
  readonly requires: readonly string[];
  readonly status: PluginStatus;
  readonly platforms: readonly string[];
  readonly exports: Readonly<Record<string, string>>;
  readonly capabilities: readonly string[];
}

export interface PluginGraphOptions {
  /** Directories below which each plugin has its own. */
  root: string;
  state: string;
  /** Tables by `<type>.<id>`. */
  config?: Readonly<Record<string, unknown>>;
  /** `<type>.<id>` of plugins that are left out. */
  disabled?: readonly string[];
  /** `<type>.<id>` of plugins without which the start fails. */
  required?: readonly string[];
  log?: Logger;
  properties?: PluginProperties;
}

/** What a plugin takes while it runs. */
interface Reloadable {
  readonly keys: readonly string[];
  apply(config: unknown): void;
}

/** Keys of the configuration that changed, as `plugins."<type>.<id>".<key>`. */
export interface ReloadReport {
  readonly applied: readonly string[];
  /** These count from the next start on. */
  readonly waiting: readonly string[];
}

/** Ends a plugin's start; caught by the graph alone. */
class Skip extends Error {}

/**
 * Starts plugins in the order of their requirements, keeps their instances, and stops them in reverse.
 *
 *   start ──► every plugin ok, skipped, failed or disabled ──stop──► instances gone
 */
export class PluginGraph implements AsyncDisposable {
  readonly #records: PluginRecord[] = [];
  readonly #instances = new Map<string, Map<string, unknown>>();
  readonly #stops: { name: string; stop: () => Promise<void> | void }[] = [];
  readonly #options: PluginGraphOptions;
  readonly #log: Logger;
  /** Every plugin's table as it is in force, by name. */
  readonly #configs = new Map<string, { declaration: AnyPlugin; config: unknown }>();
  readonly #reloadables = new Map<string, Reloadable>();

  private constructor(options: PluginGraphOptions) {
    this.#options = options;
    this.#log = options.log ?? silent;
  }

  /**
   * Starts all of `declarations`. What was started is stopped again if this fails.
   * @throws InvalidArgument for a cycle or two plugins of one name (both named); FailedPrecondition if a required one isn't running
   */
  static async start(declarations: readonly AnyPlugin[], options: PluginGraphOptions): Promise<PluginGraph> {
    const ordered = orderOf(declarations);
    const graph = new PluginGraph(options);
    try {
      for (const declaration of ordered) await graph.#startOne(declaration);
      graph.#checkRequired();
    } catch (error) {
      await graph.stop();
      throw error;
    }
    return graph;
  }

  /** Every plugin in the order of start. */
  get plugins(): readonly PluginRecord[] {
    return this.#records;
  }

  /** The instance of a running plugin: the one of this id, else the first of the type. @throws NotFound, saying why it isn't running */
  get<T>(type: string, id?: string): T {
    const instances = this.#instances.get(type);
    const found =
      id === undefined ? instances?.values().next() : { value: instances?.get(id), done: !instances?.has(id) };
    if (found === undefined || found.done === true) throw notFound(this.#whyMissing(type, id));
    return found.value as T;
  }

  /** All running instances of a type, by id. */
  all<T>(type: string): ReadonlyMap<string, T> {
    return (this.#instances.get(type) ?? new Map()) as ReadonlyMap<string, T>;
  }

  /**
   * Gives running plugins what changed in their tables, where they can take it.
   * @throws InvalidArgument for a bad table, before any is applied
   */
  reload(tables: Readonly<Record<string, unknown>>): ReloadReport {
    const report = { applied: [] as string[], waiting: [] as string[] };
    const changed = [...this.#configs].flatMap(([name, { declaration, config }]) => {
      const given = declaration.config?.parse(tables[name] ?? {});
      const keys = changedKeys(config, given);
      return keys.length === 0 ? [] : [{ name, declaration, config, given, keys }];
    });
    for (const { name, declaration, config, given, keys } of changed) {
      const reloadable = this.#reloadables.get(name);
      const taken = keys.filter((key) => reloadable?.keys.includes(key));
      for (const key of keys) (taken.includes(key) ? report.applied : report.waiting).push(`plugins."${name}".${key}`);
      if (reloadable === undefined || taken.length === 0) continue;
      const next = { ...(config as object), ...pick(given, taken) };
      this.#configs.set(name, { declaration, config: next });
      reloadable.apply(next);
    }
    return report;
  }

  /** Stops every plugin, the last started first. One that fails to stop doesn't keep the others from it. */
  async stop(): Promise<void> {
    for (let next = this.#stops.pop(); next !== undefined; next = this.#stops.pop()) {
      try {
        await next.stop();
      } catch (error) {
        this.#log.log("error", `plugin "${next.name}" failed to stop`, { error: HullError.from(error).message });
      }
    }
    this.#instances.clear();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #startOne(declaration: AnyPlugin): Promise<void> {
    const { type, id, requires = [] } = declaration;
    const name = `${type}.${id}`;
    const meta: PluginInit<unknown>["meta"] = { exports: {}, capabilities: [], platforms: [] };
    const record = (status: PluginStatus): void => {
      this.#records.push({ type, id, requires, status, ...meta });
    };
    if (this.#options.disabled?.includes(name)) return record({ kind: "disabled" });
    this.#log.log("debug", `loading plugin "${name}"`, { type });
    try {
      const instance = await declaration.start({
        config: this.#configOf(declaration),
        onReload: (keys, apply) => {
          this.#reloadables.set(name, { keys, apply });
        },
        root: join(this.#options.root, name),
        state: join(this.#options.state, name),
        get: (wanted, wantedId) => this.get(wanted, wantedId),
        all: (wanted) => this.all(wanted),
        skip: (reason) => {
          throw new Skip(reason);
        },
        meta,
        plugins: () => this.#records,
        log: this.#log,
        properties: this.#options.properties ?? {},
        onStop: (stop) => {
          this.#stops.push({ name, stop });
        },
      });
      const instances = this.#instances.get(type) ?? new Map<string, unknown>();
      this.#instances.set(type, instances.set(id, instance));
      record({ kind: "ok" });
    } catch (thrown) {
      if (thrown instanceof Skip) {
        this.#log.log("info", `skip loading plugin "${name}"`, { reason: thrown.message, type });
        return record({ kind: "skipped", reason: thrown.message });
      }
      const error = HullError.from(thrown);
      this.#log.log("warn", `failed to load plugin "${name}"`, { error: error.message, type });
      record({ kind: "failed", error });
    }
  }

  #configOf(declaration: AnyPlugin): unknown {
    const name = `${declaration.type}.${declaration.id}`;
    const config = declaration.config?.parse(this.#options.config?.[name] ?? {});
    this.#configs.set(name, { declaration, config });
    return config;
  }

  #checkRequired(): void {
    for (const name of this.#options.required ?? []) {
      const record = this.#records.find(({ type, id }) => `${type}.${id}` === name);
      if (record === undefined) throw failedPrecondition(`required plugin "${name}" is not known`);
      if (record.status.kind === "ok") continue;
      throw failedPrecondition(`required plugin "${name}" is not running: ${describe(record.status)}`);
    }
  }

  #whyMissing(type: string, id: string | undefined): string {
    const named = id === undefined ? `of type "${type}"` : `"${type}.${id}"`;
    const tried = this.#records.filter((record) => record.type === type && (id === undefined || record.id === id));
    if (tried.length === 0) return `no plugin ${named} is known`;
    return `no plugin ${named} is running: ${tried.map((record) => `"${record.id}" ${describe(record.status)}`).join("; ")}`;
  }
}

function changedKeys(before: unknown, after: unknown): string[] {
  const [old, given] = [before ?? {}, after ?? {}] as Record<string, unknown>[];
  return Object.keys({ ...old, ...given }).filter((key) => !isDeepStrictEqual(old?.[key], given?.[key]));
}

function pick(table: unknown, keys: readonly string[]): object {
  return Object.fromEntries(Object.entries(table ?? {}).filter(([key]) => keys.includes(key)));
}

function describe(status: PluginStatus): string {
  switch (status.kind) {
    case "ok":
      return "runs";
    case "skipped":
      return `was skipped: ${status.reason}`;
    case "failed":
      return `failed: ${status.error.message}`;
    case "disabled":
      return "is disabled";
  }
}

/** The declarations with each one behind all of the types that it requires, otherwise in the order given. */
function orderOf(declarations: readonly AnyPlugin[]): AnyPlugin[] {
  const byType = Map.groupBy(declarations, ({ type }) => type);
  for (const [type, plugins] of byType) {
    const ids = plugins.map(({ id }) => id);
    const doubled = ids.find((id, index) => ids.indexOf(id) !== index);
    if (doubled !== undefined) throw invalidArgument(`two plugins are named "${type}.${doubled}"`);
  }
  const ordered: AnyPlugin[] = [];
  const done = new Set<AnyPlugin>();
  const visit = (plugin: AnyPlugin, path: readonly AnyPlugin[]): void => {
    if (done.has(plugin)) return;
    const start = path.indexOf(plugin);
    if (start >= 0) {
      const cycle = [...path.slice(start), plugin].map(({ type, id }) => `"${type}.${id}"`);
      throw invalidArgument(`plugins require each other in a circle: ${cycle.join(" requires ")}`);
    }
    for (const type of plugin.requires ?? []) {
      for (const required of byType.get(type) ?? []) visit(required, [...path, plugin]);
    }
    done.add(plugin);
    ordered.push(plugin);
  };
  for (const plugin of declarations) visit(plugin, []);
  return ordered;
}
