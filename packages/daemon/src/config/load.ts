import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { type ConfigKeys, type ConfigOf, configTable, isTable } from "@hull/engine/plugin/config";
import type { AnyPlugin } from "@hull/engine/plugin/graph";
import { nearest } from "@hull/engine/plugin/nearest";
import { HullError, invalidArgument, notFound } from "@hull/errors";
import { parse, TomlError } from "smol-toml";
import { accessTable, parseAccess } from "../access/config.ts";
import {
  absent,
  defaults,
  openTables,
  renamedPlugins,
  serverPlugins,
  tables,
  timeoutKeys,
  topKeys,
} from "./catalogue.ts";
import { dividedCri } from "./cri-table.ts";

type Table = Readonly<Record<string, unknown>>;
type TableConfig<N extends keyof typeof tables> = ReturnType<(typeof tables)[N]["parse"]>;

/** The configuration, read and checked. Paths and durations are as in the file. */
export interface DaemonConfig extends ConfigOf<typeof topKeys> {
  grpc: TableConfig<"grpc">;
  ttrpc: TableConfig<"ttrpc">;
  debug: TableConfig<"debug">;
  metrics: TableConfig<"metrics">;
  cgroup: TableConfig<"cgroup">;
  /** Checked tables by `<type>.<id>`, as the plugins' declarations read them. */
  plugins: Readonly<Record<string, Table>>;
  /** Milliseconds by name. */
  timeouts: Readonly<Record<string, number>>;
  access: Table;
  proxy_plugins: Table;
  stream_processors: Table;
}

export interface LoadedConfig {
  config: DaemonConfig;
  /** What a user should know: unknown keys, keys without effect. Each names its file and key. */
  warnings: readonly string[];
}

/**
 * Reads a configuration file with all that it imports. Without `file` the default ones are read, if they are there.
 * @throws NotFound if `file` isn't there; InvalidArgument for bad TOML or a bad value, naming file, key, value and what is expected
 */
export function loadConfig(file: string | undefined, plugins: readonly AnyPlugin[]): LoadedConfig {
  const reader = new Reader(plugins);
  if (file !== undefined) reader.read(resolve(file));
  else {
    if (existsSync(defaults.config)) reader.read(defaults.config);
    reader.readAll(defaults.imports);
  }
  return { config: reader.config(), warnings: reader.warnings };
}

/** The plugins' tables of a configuration without what stands there as it would be anyway. */
export function changedTables(config: DaemonConfig, plugins: readonly AnyPlugin[]): Readonly<Record<string, Table>> {
  const shapes = new Map(plugins.map(({ type, id, config: schema }) => [`${type}.${id}`, schema?.shape as ConfigKeys]));
  const tables = Object.entries(config.plugins).map(([name, table]) => {
    const shape = shapes.get(name);
    const changed = Object.entries(table).filter(([key, value]) => !isDeepStrictEqual(value, shape?.[key]?.written));
    return [name, Object.fromEntries(changed)];
  });
  return Object.fromEntries(tables);
}

/** The configuration that an empty file makes. */
export const defaultConfig = (): LoadedConfig => ({ config: new Reader([]).config(), warnings: [] });

class Reader {
  readonly warnings: string[] = [];
  readonly #schemas: ReadonlyMap<string, AnyPlugin["config"]>;
  readonly #seen = new Set<string>();
  #merged: Table = {};

  constructor(plugins: readonly AnyPlugin[]) {
    this.#schemas = new Map(plugins.map(({ type, id, config }) => [`${type}.${id}`, config]));
  }

  /** Reads a file and then what it imports, each once; what is read later counts. */
  read(file: string): void {
    if (this.#seen.has(file)) return;
    this.#seen.add(file);
    const content = this.#normalize(file, parseFile(file));
    this.#merged = merge(this.#merged, content);
    const { imports } = content;
    if (!Array.isArray(imports)) return;
    for (const pattern of imports as string[]) {
      this.readAll(isAbsolute(pattern) ? pattern : join(dirname(file), pattern));
    }
  }

  /** Reads the files that a pattern means, by name. A pattern without wildcards means a file that must be there. */
  readAll(pattern: string): void {
    const found = /[*?[]/.test(pattern) ? globSync(pattern).sort() : [pattern];
    for (const file of found) this.read(resolve(file));
  }

  config(): DaemonConfig {
    parseAccess((this.#merged.access ?? {}) as Table);
    const table = (name: string): Table => (this.#merged[name] ?? {}) as Table;
    return {
      ...readKeys("the configuration", topKeys, this.#merged),
      grpc: tables.grpc.parse(this.#merged.grpc),
      ttrpc: tables.ttrpc.parse(this.#merged.ttrpc),
      debug: tables.debug.parse(this.#merged.debug),
      metrics: tables.metrics.parse(this.#merged.metrics),
      cgroup: tables.cgroup.parse(this.#merged.cgroup),
      plugins: table("plugins") as DaemonConfig["plugins"],
      timeouts: readKeys("the configuration", timeoutKeys, table("timeouts")),
      access: table("access"),
      proxy_plugins: table("proxy_plugins"),
      stream_processors: table("stream_processors"),
    };
  }

  /** Checks one file's content and gives it in the newest version's names. */
  #normalize(file: string, content: Table): Table {
    readKeys(file, { ...topKeys, ...openTables }, content);
    this.#checkTable(file, "timeouts", configTable(timeoutKeys), content.timeouts, "timeouts");
    const known = [...Object.keys(topKeys), ...Object.keys(openTables), ...Object.keys(tables), ...prefixesOf(absent)];
    const result: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(content)) {
      if (Object.hasOwn(tables, key)) this.#checkTable(file, key, tables[key as keyof typeof tables], value, key);
      else if (!known.includes(key)) this.#unknown(file, key, known);
      else if (isTable(value) && !Object.hasOwn(openTables, key)) this.#warnAbsent(file, key, value);
      else if (absent[key] !== undefined && !isEmpty(value)) this.warnings.push(`${file}: "${key}": ${absent[key]}`);
      result[key] = value;
    }
    if (isTable(result.access)) {
      for (const [name, value] of Object.entries(result.access))
        this.#checkTable(file, `access.${name}`, accessTable, value, "access");
    }
    for (const key of ["disabled_plugins", "required_plugins"] as const) {
      if (Array.isArray(result[key])) result[key] = this.#normalizeNames(file, key, result[key]);
    }
    return this.#normalizePlugins(file, result);
  }

  /** A list of plugins under the names that they have now. */
  #normalizeNames(file: string, key: string, list: readonly unknown[]): unknown[] {
    const known = [...this.#schemas.keys()];
    return list.map((written) => {
      const name = renamedPlugins[String(written)] ?? written;
      // A list of other things than texts is refused when the key is read.
      if (typeof name !== "string" || known.includes(name) || absent[name] !== undefined) return name;
      const near = nearest(name, known);
      const hint = near === undefined ? "" : `; did you mean "${near}"?`;
      this.warnings.push(`${file}: "${key}" names a plugin that is not known, "${name}"${hint}`);
      return name;
    });
  }

  /** The plugins' tables, checked and under the names that they have now; version 4's servers become tables of their own again. */
  #normalizePlugins(file: string, content: Table): Table {
    const plugins: Record<string, unknown> = {};
    const servers: Record<string, unknown> = {};
    for (const [written, value] of Object.entries(dividedCri((content.plugins ?? {}) as Table))) {
      const name = renamedPlugins[written] ?? written;
      const path = `plugins."${written}"`;
      const server = serverPlugins[name];
      const schema = this.#schemas.get(name);
      if (server !== undefined) {
        const named = isTable(value) ? mapKeys(value, (key) => server.keys?.[key] ?? key) : value;
        this.#checkTable(file, path, tables[server.table], named, server.table);
        servers[server.table] = { ...(servers[server.table] ?? {}), ...(named as Table) };
      } else if (schema !== undefined) {
        this.#checkTable(file, path, schema, value, name);
        plugins[name] = value;
      } else if (absent[name] !== undefined) {
        // containerd's own `config default` writes every table: one with nothing in it says nothing.
        if (!isEmpty(value)) this.warnings.push(`${file}: table [${path}] is read but has no effect: ${absent[name]}`);
      } else if (!this.#schemas.has(name)) {
        this.#unknown(
          file,
          path,
          [...this.#schemas.keys()].map((id) => `plugins."${id}"`),
        );
      }
    }
    return merge({ ...content, plugins }, servers);
  }

  #checkTable(
    file: string,
    path: string,
    schema: NonNullable<AnyPlugin["config"]>,
    value: unknown,
    name: string,
  ): void {
    try {
      schema.parse(value);
    } catch (error) {
      throw invalidArgument(`${file}: table [${path}]: ${HullError.from(error).message}`, { cause: error });
    }
    this.#checkKeys(file, path, (schema.shape ?? {}) as ConfigKeys, (value ?? {}) as Table, name);
  }

  /** Warns of keys that aren't known or have no effect, also in the tables within. */
  #checkKeys(file: string, path: string, shape: ConfigKeys, value: Table, name: string): void {
    const known = Object.keys(shape);
    for (const [key, given] of Object.entries(value)) {
      const why = absent[`${name}.${key}`];
      if (known.includes(key)) {
        if (why !== undefined && !isDeepStrictEqual(given, shape[key]?.written))
          this.#noEffect(file, `${path}.${key}`, why);
        this.#checkWithin(file, `${path}.${key}`, shape[key], given, `${name}.${key}`);
      } else if (why === undefined)
        this.#unknown(
          file,
          `${path}.${key}`,
          known.map((candidate) => `${path}.${candidate}`),
        );
      else if (!isEmpty(given)) this.#noEffect(file, `${path}.${key}`, why);
    }
  }

  #checkWithin(file: string, path: string, key: ConfigKeys[string] | undefined, value: unknown, name: string): void {
    if (key?.keys !== undefined) this.#checkKeys(file, path, key.keys, value as Table, name);
    if (key?.entries === undefined) return;
    for (const [entry, within] of Object.entries(value as Table))
      this.#checkKeys(file, `${path}.${entry}`, key.entries, within as Table, name);
  }

  #noEffect(file: string, path: string, why: string): void {
    this.warnings.push(`${file}: key "${path}" has no effect: ${why}`);
  }

  #warnAbsent(file: string, name: string, value: Table): void {
    for (const [key, given] of Object.entries(value)) {
      const why = absent[`${name}.${key}`];
      if (why === undefined) this.#unknown(file, `${name}.${key}`, Object.keys(absent));
      else if (!isEmpty(given)) this.#noEffect(file, `${name}.${key}`, why);
    }
  }

  #unknown(file: string, path: string, known: readonly string[]): void {
    const near = nearest(path, known);
    this.warnings.push(
      `${file}: unknown key "${path}" is ignored${near === undefined ? "" : `; did you mean "${near}"?`}`,
    );
  }
}

const mapKeys = (table: Table, rename: (key: string) => string): Table =>
  Object.fromEntries(Object.entries(table).map(([key, value]) => [rename(key), value]));

function parseFile(file: string): Table {
  let source: string;
  try {
    source = readFileSync(file, "utf8");
  } catch (error) {
    throw notFound(`configuration file "${file}" can't be read: ${HullError.from(error).message}`, { cause: error });
  }
  try {
    return parse(source);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [reason = ""] = error.message.split("\n");
    throw invalidArgument(`${file}: line ${error.line}, column ${error.column}: ${reason}`, { cause: error });
  }
}

function readKeys<K extends ConfigKeys>(where: string, keys: K, given: Table): ConfigOf<K> {
  const entries = Object.entries(keys).map(([name, key]) => {
    const raw = given[name];
    if (raw === undefined) return [name, key.default];
    const value = key.read(raw);
    if (value === undefined) {
      throw invalidArgument(`${where}: key "${name}" must be ${key.expected}, not ${JSON.stringify(raw)}`);
    }
    return [name, value];
  });
  return Object.fromEntries(entries) as ConfigOf<K>;
}

/** Lists that are united when files are merged. */
const united: ReadonlySet<string> = new Set(["imports", "disabled_plugins", "required_plugins"]);
/** Tables whose entries a later file replaces whole. */
const replaced: ReadonlySet<string> = new Set(["stream_processors", "proxy_plugins", "timeouts", "access"]);

/** Two files' content as one: tables key by key, of other values the later. */
function merge(earlier: Table, later: Table, depth = 0): Table {
  const result: Record<string, unknown> = { ...earlier };
  for (const [key, value] of Object.entries(later)) {
    const before = result[key];
    if (depth === 0 && united.has(key) && Array.isArray(before) && Array.isArray(value)) {
      result[key] = [...new Set([...before, ...value])];
    } else if (isTable(before) && isTable(value)) {
      result[key] = depth === 0 && replaced.has(key) ? { ...before, ...value } : merge(before, value, depth + 1);
    } else result[key] = value;
  }
  return result;
}

/** True for what containerd's `config default` writes where nothing is set. */
function isEmpty(value: unknown): boolean {
  if (isTable(value)) return Object.values(value).every(isEmpty);
  return value === "" || value === 0 || value === false || (Array.isArray(value) && value.length === 0);
}

const prefixesOf = (keys: Readonly<Record<string, string>>): string[] => [
  ...new Set(Object.keys(keys).map((key) => (key.startsWith("io.") ? key : (key.split(".")[0] ?? "")))),
];
