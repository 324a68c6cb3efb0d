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
  readonly plugins: readonly NetworkPlugin[];
  /** The document as it was read, for the cache. */
  readonly text: string;
  readonly file: string;
}

const defaultVersion = "0.2.0";
const name = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
const suffix = /\.(conflist|conf|json)$/;

/**
 * Reads a network: a list of plugins (`.conflist`), or the configuration of one alone, which makes a list of itself. CNI specification,
 * section 1. @throws InvalidArgument naming the file
 */
export function parseNetwork(text: string, file: string): Network {
  const document = parseJson(text, file);
  const wrong = (what: string): Error => invalidArgument(`network configuration "${file}": ${what}`);
  const { name: own, cniVersion = defaultVersion, disableCheck = false, plugins } = document;
  if (typeof own !== "string" || !name.test(own))
    throw wrong(`"name" must be letters, digits, "_", "." and "-", beginning with a letter or digit`);
  if (typeof cniVersion !== "string" || !/^\d+\.\d+\.\d+$/.test(cniVersion))
    throw wrong(`"cniVersion" must be a version such as "1.0.0"`);
  if (plugins === undefined) {
    if (!isPlugin(document)) throw wrong(`neither "plugins" nor "type" is there`);
    return { name: own, cniVersion, disableCheck: false, plugins: [document], text, file };
  }
  if (!Array.isArray(plugins) || plugins.length === 0) throw wrong(`"plugins" must be a list of at least one plugin`);
  for (const plugin of plugins) {
    if (!isPlugin(plugin)) throw wrong(`each of "plugins" needs a "type", which is the name of a program`);
  }
  return { name: own, cniVersion, disableCheck: disableCheck === true || disableCheck === "true", plugins, text, file };
}

/**
 * The networks of a directory, in the order of their files' names; at most `most`. None if there is no such directory.
 * @throws InvalidArgument for a file that is none
 */
export function loadNetworks(directory: string, { most = Number.POSITIVE_INFINITY } = {}): Network[] {
  let files: string[];
  try {
    files = readdirSync(directory);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
  return files
    .filter((file) => suffix.test(file))
    .sort()
    .slice(0, most)
    .map((file) => parseNetwork(readFileSync(join(directory, file), "utf8"), join(directory, file)));
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
