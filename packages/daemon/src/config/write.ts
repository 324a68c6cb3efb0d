import { type ConfigKeys, isTable } from "@hull/engine/plugin/config";
import type { AnyPlugin } from "@hull/engine/plugin/graph";
import { stringify } from "smol-toml";
import { openTables, tables, timeoutKeys, topKeys } from "./catalogue.ts";
import type { DaemonConfig } from "./load.ts";

/** The version that is written: the newest one that containerd 2.0 to 2.2 read too. */
export const writtenVersion = 3;

type Table = Readonly<Record<string, unknown>>;

export interface WriteOptions {
  /** Puts above each key what it does. */
  comments?: boolean;
}

/**
 * A configuration as TOML, every key of it and of the plugins' tables, under the names of version 3. What it imported is in it, so it
 * imports nothing. containerd reads it as well; to the few keys of hull's own it answers with a warning.
 */
export function writeConfig(config: DaemonConfig, plugins: readonly AnyPlugin[], options: WriteOptions = {}): string {
  const writer = new Writer(options.comments ?? false);
  const top = Object.fromEntries(Object.keys(topKeys).map((name) => [name, config[name as keyof typeof topKeys]]));
  writer.keys({ ...top, version: writtenVersion, imports: [] }, topKeys);
  for (const [name, { shape }] of Object.entries(tables)) {
    writer.table([name], config[name as keyof typeof tables], shape as ConfigKeys);
  }
  for (const { type, id, config: schema } of plugins) {
    const keys = (schema?.shape ?? {}) as ConfigKeys;
    if (Object.keys(keys).length === 0) continue;
    const name = `${type}.${id}`;
    const defaults = Object.fromEntries(Object.entries(keys).map(([key, { written }]) => [key, written]));
    writer.table(["plugins", name], { ...defaults, ...config.plugins[name] }, keys);
  }
  const timeouts = Object.entries(config.timeouts).map(([name, ms]) => [name, durationOf(ms)]);
  writer.table(["timeouts"], Object.fromEntries(timeouts), timeoutKeys);
  for (const name of ["access", "proxy_plugins", "stream_processors"] as const) {
    for (const [id, entry] of Object.entries(config[name])) {
      writer.table([name, id], entry as Table, {}, openTables[name].about);
    }
  }
  return writer.text;
}

const durationOf = (ms: number): string => (ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`);

class Writer {
  #text = "";
  readonly #comments: boolean;

  constructor(comments: boolean) {
    this.#comments = comments;
  }

  get text(): string {
    return this.#text;
  }

  table(path: readonly string[], values: Table, keys: ConfigKeys, about = ""): void {
    this.#text += "\n";
    this.#comment(about);
    this.#text += `[${path.map(quoteKey).join(".")}]\n`;
    this.keys(values, keys, path);
  }

  /** Tables within come last, as what follows a table's head belongs to it. */
  keys(values: Table, keys: ConfigKeys, path: readonly string[] = []): void {
    const entries = Object.entries(values);
    for (const [name, value] of entries) {
      if (isTable(value) || isTableList(value)) continue;
      this.#comment(keys[name]?.about ?? "");
      this.#text += stringify({ [name]: value });
    }
    for (const [name, value] of entries) {
      if (isTable(value)) this.table([...path, name], value, {}, keys[name]?.about);
      else if (isTableList(value)) this.#tableList([...path, name], value, keys[name]?.about);
    }
  }

  #tableList(path: readonly string[], values: readonly Table[], about = ""): void {
    if (values.length > 0) this.#text += "\n";
    this.#comment(about);
    for (const value of values) {
      this.#text += `[[${path.map(quoteKey).join(".")}]]\n`;
      this.keys(value, {}, path);
    }
  }

  #comment(text: string): void {
    if (this.#comments && text !== "") this.#text += `# ${text}\n`;
  }
}

/** A key as it stands in a table's head. */
const quoteKey = (key: string): string => (/^[A-Za-z0-9_-]+$/.test(key) ? key : JSON.stringify(key));

const isTableList = (value: unknown): value is readonly Table[] =>
  Array.isArray(value) && value.length > 0 && value.every(isTable);
