import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { invalidArgument, notFound } from "@hull/errors";

/** The configuration of one plugin: `type` is its program, the rest is its own. */
export interface NetworkPlugin {
  readonly type: string;
  readonly capabilities?: Readonly<Record<string, boolean>>;
  readonly [key: string]: unknown;
}

/** A network, as a file of the configuration says it. */
export interface Network {
  readonly name: string;
  readonly cniVersion: string;
  readonly disableCheck: boolean;
  readonly disableGc: boolean;
  readonly plugins: readonly NetworkPlugin[];
  /** The document as it was read, for the cache. */
  readonly text: string;
  readonly file: string;
}

const defaultVersion = "0.2.0";

/** The newest that is spoken here. */
const newestVersion = "1.1.0";

const name = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
const suffix = /\.(conflist|conf|json)$/;

/**
 * Reads a network: a list of plugins (`.conflist`), or the configuration of one alone, which makes a list of itself. CNI specification,
 * section 1. @throws InvalidArgument naming the file
 */
export function parseNetwork(text: string, file: string): Network {
  const document = parseJson(text, file);
  const wrong = (what: string): Error => invalidArgument(`network configuration "${file}": ${what}`);
  const { name: own, disableCheck, disableGC, plugins } = document;
  if (typeof own !== "string" || !name.test(own))
    throw wrong(`"name" must be letters, digits, "_", "." and "-", beginning with a letter or digit`);
  const cniVersion = versionOf(document, wrong);
  if (plugins === undefined) {
    if (!isPlugin(document)) throw wrong(`neither "plugins" nor "type" is there`);
    return { name: own, cniVersion, disableCheck: false, disableGc: false, plugins: [document], text, file };
  }
  if (!Array.isArray(plugins) || plugins.length === 0) throw wrong(`"plugins" must be a list of at least one plugin`);
  for (const plugin of plugins) {
    if (!isPlugin(plugin)) throw wrong(`each of "plugins" needs a "type", which is the name of a program`);
  }
  return { name: own, cniVersion, disableCheck: isSet(disableCheck), disableGc: isSet(disableGC), plugins, text, file };
}

/** Flags have been written as texts, too. */
const isSet = (flag: unknown): boolean => flag === true || flag === "true";

/** `cniVersion`, or the newest of `cniVersions` that is known here. */
function versionOf(
  { cniVersion = defaultVersion, cniVersions = [] }: Record<string, unknown>,
  wrong: (what: string) => Error,
): string {
  const isVersion = (value: unknown): value is string => typeof value === "string" && /^\d+\.\d+\.\d+$/.test(value);
  if (!isVersion(cniVersion)) throw wrong(`"cniVersion" must be a version such as "1.0.0"`);
  if (!Array.isArray(cniVersions) || !cniVersions.every(isVersion))
    throw wrong(`"cniVersions" must be a list of versions such as "1.0.0"`);
  const known = cniVersions.filter((version) => compareVersions(version, newestVersion) <= 0);
  return known.sort(compareVersions).at(-1) ?? cniVersion;
}

/** Compares versions of three numbers: less than 0 if the first is the older one. */
export function compareVersions(one: string, other: string): number {
  const parts = (text: string): number[] => text.split(".").map(Number);
  const [a, b] = [parts(one), parts(other)];
  const at = [0, 1, 2].find((at) => a[at] !== b[at]) ?? 0;
  return (a[at] ?? 0) - (b[at] ?? 0);
}

/**
 * A network with the plugins that files of the directory of its name add (`.conf`, by name), unless it says `loadOnlyInlinedPlugins`.
 * @throws InvalidArgument for a file that is none
 */
function withAddedPlugins(network: Network, directory: string): Network {
  const { loadOnlyInlinedPlugins, plugins } = parseJson(network.text, network.file);
  if (plugins === undefined || isSet(loadOnlyInlinedPlugins)) return network;
  const folder = join(directory, network.name);
  const added = filesOf(folder)
    .filter((file) => file.endsWith(".conf"))
    .map((file): NetworkPlugin => {
      const plugin = parseJson(readFileSync(join(folder, file), "utf8"), join(folder, file));
      if (!isPlugin(plugin)) throw invalidArgument(`network configuration "${join(folder, file)}": "type" is missing`);
      return plugin;
    });
  if (added.length === 0) return network;
  const document = { ...parseJson(network.text, network.file), plugins: [...network.plugins, ...added] };
  return { ...network, plugins: document.plugins, text: JSON.stringify(document) };
}

/** Names of a directory's entries, sorted; none if it isn't there. */
function filesOf(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR")) return [];
    throw error;
  }
}

/**
 * The networks of a directory, in the order of their files' names; at most `most`. None if there is no such directory.
 * @throws InvalidArgument for a file that is none
 */
export function loadNetworks(directory: string, { most = Number.POSITIVE_INFINITY } = {}): Network[] {
  return filesOf(directory)
    .filter((file) => suffix.test(file))
    .slice(0, most)
    .map((file) => parseNetwork(readFileSync(join(directory, file), "utf8"), join(directory, file)))
    .map((network) => withAddedPlugins(network, directory));
}

/** The network of this name. @throws NotFound, naming those that are there */
export function findNetwork(networks: readonly Network[], wanted: string): Network {
  const found = networks.find((network) => network.name === wanted);
  if (found !== undefined) return found;
  const others = networks.map((network) => `"${network.name}"`).join(", ");
  throw notFound(`no such network: "${wanted}"${others === "" ? "" : `; there are ${others}`}`);
}

function parseJson(text: string, file: string): Record<string, unknown> {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw invalidArgument(
      `network configuration "${file}" is no JSON: ${cause instanceof Error ? cause.message : cause}`,
      {
        cause,
      },
    );
  }
  if (typeof document === "object" && document !== null && !Array.isArray(document))
    return document as Record<string, unknown>;
  throw invalidArgument(`network configuration "${file}" is no object`);
}

function isPlugin(value: unknown): value is NetworkPlugin {
  if (typeof value !== "object" || value === null || !("type" in value)) return false;
  // A program's name: a path would lead out of the directories that are trusted.
  return typeof value.type === "string" && value.type !== "" && !/[/\0]|^\.\.?$/.test(value.type);
}
