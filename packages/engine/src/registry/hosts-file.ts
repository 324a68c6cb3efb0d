import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { invalidArgument } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { parse, type TomlTable, type TomlValue } from "smol-toml";
import { parseDuration } from "../plugin/duration.ts";
import { defaultHosts, type HostCapability, type HostsProvider, isLocalhost, type RegistryHost } from "./hosts.ts";

/**
 * Hosts as the files of an administrator say, in containerd's format (containerd's docs/hosts.md):
 *
 *   <directory>/<domain>/hosts.toml, or <directory>/_default/hosts.toml
 *     server = "https://upstream"        asked last; the domain itself unless said; keys below are for it if they stand at the top
 *     [host."https://mirror/prefix"]     asked in this order
 *       capabilities = ["pull", "resolve", "push", "referrers"]    all unless said
 *       ca = "file" | ["file", …]        trusted beside the system's authorities; relative to hosts.toml
 *       client = "file" | ["file"] | [["certificate", "key"]]
 *       skip_verify = true
 *       override_path = true             the address has the whole path: no `/v2` behind it
 *       dial_timeout = "5s"              how long connecting to it may take
 *       [host."…".header]
 *
 * or Docker's layout, <directory>/<domain>/{*.crt, *.cert, *.key}, for the domain itself. A domain with a port may be written
 * `name:port`, `name_port_`, or without the port.
 */

export interface HostsFileOptions {
  /** Plain HTTP for what doesn't say its scheme. */
  plainHttp?: boolean;
  /** Told of keys that mean nothing here. */
  warn?: (message: string) => void;
}

const capabilities: readonly HostCapability[] = ["pull", "resolve", "push", "referrers"];
const hostKeys = new Set(["capabilities", "ca", "client", "skip_verify", "override_path", "header", "dial_timeout"]);

/** The first directory that has something for a domain decides; none: `defaultHosts`. Read anew for each pull. @throws InvalidArgument naming the file and the key */
export function hostsFromDirectories(directories: readonly string[], options: HostsFileOptions = {}): HostsProvider {
  const fallBack = defaultHosts({ plainHttp: options.plainHttp });
  return (domain) => {
    for (const directory of directories) {
      for (const name of folderNames(domain)) {
        const folder = join(directory, name);
        const text = readIfThere(join(folder, "hosts.toml"));
        if (text !== undefined) return new HostsFile(folder, domain, options).read(text);
        const tls = dockerLayout(folder);
        if (tls !== undefined) return defaultHosts({ plainHttp: options.plainHttp, tls })(domain);
      }
    }
    return fallBack(domain);
  };
}

function folderNames(domain: string): string[] {
  // From a reference, whose grammar lets no slash into it; nothing but a name may be joined to the directory.
  const [, name = domain, port] = /^(.*):(\d+)$/.exec(domain) ?? [];
  return [...(port === undefined ? [] : [`${name}_${port}_`, domain]), name, "_default"];
}

class HostsFile {
  readonly #folder: string;
  readonly #file: string;
  readonly #domain: string;
  readonly #options: HostsFileOptions;

  constructor(folder: string, domain: string, options: HostsFileOptions) {
    this.#folder = folder;
    this.#file = join(folder, "hosts.toml");
    this.#domain = domain;
    this.#options = options;
  }

  read(text: string): RegistryHost[] {
    let table: TomlTable;
    try {
      table = parse(text);
    } catch (error) {
      throw invalidArgument(`"${this.#file}" is no valid TOML: ${(error as Error).message}`, { cause: error });
    }
    const { server, host: mirrors = {}, ...own } = table;
    if (!isTable(mirrors)) throw this.#wrong("host", "a table for each host");
    const hosts = Object.entries(mirrors).map(([address, keys]) => {
      if (!isTable(keys)) throw this.#wrong(`host."${address}"`, "a table");
      return this.#host(address, keys, `host."${address}".`);
    });
    if (server !== undefined && typeof server !== "string") throw this.#wrong("server", "an address");
    const [standard] = defaultHosts({ plainHttp: this.#options.plainHttp })(this.#domain) as readonly RegistryHost[];
    hosts.push({ ...this.#host(server || `${standard?.scheme}://${standard?.host}`, own, "") });
    return hosts;
  }

  #host(address: string, keys: TomlTable, prefix: string): RegistryHost {
    for (const key of Object.keys(keys))
      if (!hostKeys.has(key)) this.#options.warn?.(`"${prefix}${key}" in "${this.#file}" has no effect`);
    const bare = address.includes("://")
      ? address
      : `${this.#options.plainHttp === true ? "http" : "https"}://${address}`;
    const url = URL.parse(bare);
    if (url === null || (url.protocol !== "https:" && url.protocol !== "http:"))
      throw this.#wrong(`${prefix}server`, `an http or https address, not "${address}"`);
    const path = url.pathname.replace(/\/+$/, "");
    const whole = this.#flag(keys, "override_path", prefix);
    const skipVerify = this.#flag(keys, "skip_verify", prefix);
    const headers = this.#headers(keys.header, prefix);
    const dialTimeout = this.#duration(keys.dial_timeout, `${prefix}dial_timeout`);
    const ca = this.#files(keys.ca, `${prefix}ca`);
    const client = this.#client(keys.client, `${prefix}client`);
    const scheme = url.protocol === "http:" ? "http" : "https";
    const tls = ca === undefined && client === undefined && !skipVerify ? undefined : { ca, client, skipVerify };
    return {
      scheme,
      host: url.host,
      path: whole || path.endsWith("/v2") ? path : `${path}/v2`,
      capabilities: this.#capabilities(keys.capabilities, prefix),
      ...(tls === undefined ? {} : { tls }),
      ...(headers === undefined ? {} : { headers }),
      ...(dialTimeout === undefined ? {} : { dialTimeout }),
      // Whoever set TLS up doesn't want it left off.
      ...(scheme === "https" && tls === undefined && isLocalhost(url.host) ? { fallBackToHttp: true } : {}),
    };
  }

  #capabilities(value: TomlValue | undefined, prefix: string): readonly HostCapability[] {
    if (value === undefined) return capabilities;
    const wrong = this.#wrong(`${prefix}capabilities`, `a list of ${capabilities.join(", ")}`);
    if (!Array.isArray(value)) throw wrong;
    return value.map((item) => {
      const known = capabilities.find((capability) => capability === item);
      if (known === undefined) throw wrong;
      return known;
    });
  }

  #flag(keys: TomlTable, key: string, prefix: string): boolean {
    const value = keys[key] ?? false;
    if (typeof value !== "boolean") throw this.#wrong(prefix + key, "true or false");
    return value;
  }

  #duration(value: TomlValue | undefined, key: string): number | undefined {
    if (value === undefined) return undefined;
    const time = typeof value === "string" ? parseDuration(value) : undefined;
    if (time === undefined || time <= 0) throw this.#wrong(key, 'a duration such as "5s"');
    return time;
  }

  #headers(value: TomlValue | undefined, prefix: string): Record<string, string> | undefined {
    if (value === undefined) return undefined;
    const wrong = this.#wrong(`${prefix}header`, "a table of texts or lists of texts");
    if (!isTable(value)) throw wrong;
    return Object.fromEntries(
      Object.entries(value).map(([name, content]) => {
        const list = Array.isArray(content) ? content : [content];
        if (!list.every((item) => typeof item === "string")) throw wrong;
        return [name.toLowerCase(), list.join(", ")];
      }),
    );
  }

  #files(value: TomlValue | undefined, key: string): string[] | undefined {
    if (value === undefined) return undefined;
    const list = Array.isArray(value) ? value : [value];
    return list.map((item) => {
      if (typeof item !== "string") throw this.#wrong(key, "a file or a list of files");
      return this.#named(item, key);
    });
  }

  #client(value: TomlValue | undefined, key: string): { certificate: string; key: string } | undefined {
    if (value === undefined) return undefined;
    const list: readonly TomlValue[] = Array.isArray(value) ? value : [value];
    const [pair] = list;
    if (list.length !== 1 || pair === undefined) throw this.#wrong(key, "one certificate with its key");
    const [certificate, own, ...more] = Array.isArray(pair) ? pair : [pair];
    if (typeof certificate !== "string" || (own !== undefined && typeof own !== "string") || more.length > 0)
      throw this.#wrong(key, "a file with both, or a pair of a certificate's and a key's file");
    const both = this.#named(certificate, key);
    return { certificate: both, key: own === undefined || own === "" ? both : this.#named(own, key) };
  }

  #named(path: string, key: string): string {
    const text = readIfThere(resolve(this.#folder, path));
    if (text === undefined) throw this.#wrong(key, `a file that exists, not "${path}"`);
    return text;
  }

  #wrong(key: string, expected: string): Error {
    return invalidArgument(`"${key}" in "${this.#file}" must be ${expected}`);
  }
}

function dockerLayout(folder: string): RegistryHost["tls"] {
  const names = filesOf(folder);
  const texts = (suffix: string) =>
    names.filter((name) => name.endsWith(suffix)).map((name) => readIfThere(join(folder, name)) ?? "");
  const ca = texts(".crt");
  const pair = names.find((name) => name.endsWith(".cert"));
  const key = pair === undefined ? undefined : readIfThere(join(folder, pair.replace(/\.cert$/, ".key")));
  if (pair !== undefined && key === undefined)
    throw invalidArgument(`"${join(folder, pair)}" needs its key beside it, as "${pair.replace(/\.cert$/, ".key")}"`);
  if (ca.length === 0 && pair === undefined) return undefined;
  return {
    ...(ca.length === 0 ? {} : { ca }),
    ...(pair === undefined || key === undefined
      ? {}
      : { client: { certificate: readIfThere(join(folder, pair)) ?? "", key } }),
  };
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    const how = error instanceof Error ? error.message : String(error);
    throw invalidArgument(`"${path}" can't be read: ${how}`, { cause: error });
  }
}

function filesOf(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}

function isTable(value: TomlValue): value is TomlTable {
  return typeof value === "object" && !Array.isArray(value) && !(value instanceof Date);
}
