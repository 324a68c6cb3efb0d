import { createHash } from "node:crypto";
import { resolve } from "node:path";
import type { Logger } from "@hull/engine";
import { checkIdentifier } from "@hull/engine/metadata/index";
import { type ConfigKeys, isTable } from "@hull/engine/plugin/config";
import type { AnyPlugin } from "@hull/engine/plugin/graph";
import { nearest } from "@hull/engine/plugin/nearest";
import { HullError, invalidArgument } from "@hull/errors";

/** How an engine is opened. */
export interface EngineOptions {
  /** Where images, snapshots and records are: this program's alone while it is open. Made if it isn't there. */
  readonly root: string;
  /**
   * Where sockets and mounts of running containers are; should not outlive a reboot, nor be another root's. A place of the root's own below
   * `/run/hull-engine` unless told.
   */
  readonly state?: string;
  /** `default` unless told. */
  readonly namespace?: string;
  /** Whether containers go on when the engine is closed, or the program ends (the default), or are ended; at the next opening too, after a crash. */
  readonly containers?: "keep" | "end";
  /** Tables of the configuration, by plugin: `{ "io.containerd.runtime.v2.task": { oci_runtime: "runc" } }`. */
  readonly plugins?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Where the engine tells what it does; nowhere unless told. */
  readonly log?: Logger;
}

/** Options, whole. */
export interface EngineSettings extends Required<Omit<EngineOptions, "log">> {
  readonly log: Logger | undefined;
}

const names = ["root", "state", "namespace", "containers", "plugins", "log"] as const satisfies (keyof EngineOptions)[];

/** Longest path of a state: its sockets have names, and the kernel takes 107 bytes for both. */
const longestState = 90;

/**
 * Checks options as they come from a program, perhaps one without types, and completes them.
 * @param declarations what `plugins` may be about
 * @throws InvalidArgument, saying what would be right
 */
export function readOptions(options: EngineOptions, declarations: readonly AnyPlugin[]): EngineSettings {
  if (!isTable(options)) throw invalidArgument(`Engine.open takes options: ${example}`);
  requireKnown(Object.keys(options), names, (name, hint) => `Engine.open has no option "${name}"${hint}`);
  const { containers = "keep", namespace = "default", plugins = {}, log } = options;
  if (typeof options.root !== "string" || options.root === "")
    throw invalidArgument(`Engine.open needs a root: ${example}`);
  const root = resolve(options.root);
  if (root === "/") throw invalidArgument(`the engine's root can't be "/": ${example}`);
  if (containers !== "keep" && containers !== "end")
    throw invalidArgument(`option "containers" must be "keep" or "end", not ${JSON.stringify(containers)}`);
  if (log !== undefined && typeof log?.log !== "function")
    throw invalidArgument('option "log" must have a method "log(level, message, fields)"');
  checkIdentifier(namespace, 'option "namespace"');
  checkPlugins(plugins, declarations);
  return { root, state: stateOf(options.state, root), namespace, containers, plugins, log };
}

const example = 'Engine.open({ root: "/var/lib/my-program/hull" })';

function stateOf(given: unknown, root: string): string {
  if (given === undefined) return stateFor(root);
  if (typeof given !== "string" || given === "") throw invalidArgument('option "state" must be the path of a folder');
  const state = resolve(given);
  if (state === root)
    throw invalidArgument(`root and state are both "${root}": the state has to be a folder of its own`);
  if (Buffer.byteLength(state) > longestState)
    throw invalidArgument(
      `the path "${state}" of the state is longer than ${longestState} bytes: choose a shorter one`,
    );
  return state;
}

/** A place below /run that is the root's own, since a reboot has to empty it. */
export function stateFor(root: string): string {
  const name = root.replaceAll(/[^A-Za-z0-9]+/g, "-").replace(/^-/, "");
  return `/run/hull-engine/${name.slice(-48)}-${markOf(root)}`;
}

/** What tells this root from others, where a path has no room or no right to be. */
export const markOf = (root: string): string => createHash("sha256").update(root).digest("hex").slice(0, 8);

function checkPlugins(plugins: unknown, declarations: readonly AnyPlugin[]): void {
  if (!isTable(plugins))
    throw invalidArgument('option "plugins" must be tables by plugin: { "<type>.<id>": { key: value } }');
  const schemas = new Map(declarations.map(({ type, id, config }) => [`${type}.${id}`, config]));
  requireKnown(
    Object.keys(plugins),
    [...schemas.keys()],
    (name, hint) => `option "plugins" names a plugin that is not known, "${name}"${hint}`,
  );
  for (const [name, table] of Object.entries(plugins)) {
    const schema = schemas.get(name);
    try {
      schema?.parse(table);
    } catch (error) {
      throw invalidArgument(`option "plugins", table "${name}": ${HullError.from(error).message}`, { cause: error });
    }
    checkKeys(name, table, (schema?.shape ?? {}) as ConfigKeys);
  }
}

/** Values have been checked: the keys of a table, and of those in it. */
function checkKeys(path: string, table: unknown, shape: ConfigKeys): void {
  if (!isTable(table)) return;
  requireKnown(
    Object.keys(table),
    Object.keys(shape),
    (key, hint) => `option "plugins", table "${path}" has no key "${key}"${hint}`,
  );
  for (const [key, value] of Object.entries(table)) {
    const { keys, entries } = shape[key] ?? {};
    if (keys !== undefined) checkKeys(`${path}.${key}`, value, keys);
    if (entries !== undefined && isTable(value))
      for (const [entry, within] of Object.entries(value)) checkKeys(`${path}.${key}.${entry}`, within, entries);
  }
}

function requireKnown(
  given: readonly string[],
  known: readonly string[],
  message: (name: string, hint: string) => string,
): void {
  for (const name of given) {
    if (known.includes(name)) continue;
    const near = nearest(name, known);
    throw invalidArgument(message(name, near === undefined ? "" : `; did you mean "${near}"?`));
  }
}
