import { readFileSync } from "node:fs";
import type { AuthConfig } from "@hull/api/gen/cri/v1/cri";
import { isTable } from "@hull/engine/plugin/config";
import {
  defaultHosts,
  type HostsProvider,
  hostsFromDirectories,
  isLocalhost,
  type RegistryHost,
} from "@hull/engine/registry/index";
import { invalidArgument } from "@hull/errors";
import type { CriImagesConfig } from "../config.ts";

/** How the configuration says that registries are spoken to. */
export interface Registries {
  readonly hosts: HostsProvider;
  readonly headers: Readonly<Record<string, string>>;
  /** Credentials for a host, of the deprecated tables. */
  readonly auth: (host: string) => Partial<AuthConfig> | undefined;
  /** Those tables that are used, as `cri-registry-<table>`. */
  readonly deprecated: readonly DeprecatedTable[];
}

export type DeprecatedTable = "cri-registry-mirrors" | "cri-registry-configs" | "cri-registry-auths";

/** Where hosts.toml files are looked for unless the configuration says. */
const defaultPath = "/etc/containerd/certs.d:/etc/docker/certs.d";

type Table = Readonly<Record<string, unknown>>;

/**
 * Reads the table `registry`: `config_path` and `headers`, and those of containerd 1.5 and before, which count where no path is set:
 *
 *   mirrors.<registry or *>.endpoint = ["https://…", …]      asked in this order, the registry itself last
 *   configs.<host>.tls               = { insecure_skip_verify, ca_file, cert_file, key_file }
 *   configs.<host>.auth, auths.<url> = { username, password, auth, identitytoken }
 *
 * Source: containerd's docs/cri/registry.md.
 * @throws InvalidArgument naming the key
 */
export function readRegistries(
  registry: CriImagesConfig["registry"],
  warn: (message: string) => void = () => undefined,
): Registries {
  const mirrors = readMirrors(registry.mirrors);
  const configs = readConfigs(registry.configs);
  const auths = readAuths(registry.auths);
  const ownPath = registry.config_path !== "" && registry.config_path !== defaultPath;
  if (mirrors.size > 0 && ownPath)
    throw invalidArgument("invalid cri image config: `mirrors` cannot be set when `config_path` is provided");
  const byTables = mirrors.size > 0 || (!ownPath && [...configs.values()].some(({ tls }) => tls !== undefined));
  const directories = registry.config_path.split(":").filter((directory) => directory !== "");
  const used: [DeprecatedTable, number][] = [
    ["cri-registry-mirrors", mirrors.size],
    ["cri-registry-configs", configs.size],
    ["cri-registry-auths", auths.size],
  ];
  return {
    hosts: byTables ? hostsOfTables(mirrors, configs) : hostsFromDirectories(directories, { warn }),
    headers: Object.fromEntries(
      Object.entries(registry.headers).map(([name, value]) => [
        name.toLowerCase(),
        texts(value, `registry.headers.${name}`).join(", "),
      ]),
    ),
    auth: (host) => auths.get(host) ?? configs.get(host)?.auth,
    deprecated: used.flatMap(([table, size]) => (size === 0 ? [] : [table])),
  };
}

interface HostConfig {
  tls?: RegistryHost["tls"];
  auth?: Partial<AuthConfig>;
}

function hostsOfTables(
  mirrors: ReadonlyMap<string, readonly string[]>,
  configs: ReadonlyMap<string, HostConfig>,
): HostsProvider {
  return async (domain) => {
    const own = await defaultHosts()(domain);
    const endpoints = (mirrors.get(domain) ?? mirrors.get("*") ?? []).map((address) => endpointOf(address));
    const hosts = endpoints.some(({ host }) => host === domain) ? endpoints : [...endpoints, ...own];
    return hosts.map((host): RegistryHost => {
      const { tls } = configs.get(host.host) ?? {};
      return tls === undefined ? host : { ...host, tls, fallBackToHttp: false };
    });
  };
}

function endpointOf(address: string): RegistryHost {
  const bare = address.includes("://") ? address : `${isLocalhost(address) ? "http" : "https"}://${address}`;
  const url = URL.parse(bare);
  if (url === null || (url.protocol !== "https:" && url.protocol !== "http:"))
    throw invalidArgument(`parse registry endpoint ${JSON.stringify(address)} from mirrors: it is no web address`);
  const path = url.pathname.replace(/\/+$/, "");
  return {
    scheme: url.protocol === "http:" ? "http" : "https",
    host: url.host,
    path: path === "" ? "/v2" : path,
    capabilities: ["pull", "resolve", "referrers"],
  };
}

function readMirrors(table: Table): Map<string, string[]> {
  const mirrors = new Map<string, string[]>();
  for (const [name, value] of Object.entries(table)) {
    const key = `registry.mirrors.${name}`;
    const endpoints = texts(tableAt(value, key).endpoint ?? [], `${key}.endpoint`);
    for (const endpoint of endpoints) endpointOf(endpoint);
    mirrors.set(name, endpoints);
  }
  return mirrors;
}

function readConfigs(table: Table): Map<string, HostConfig> {
  const configs = new Map<string, HostConfig>();
  for (const [host, value] of Object.entries(table)) {
    const key = `registry.configs.${host}`;
    const { tls, auth } = tableAt(value, key);
    configs.set(host, {
      ...(tls === undefined ? {} : { tls: readTls(tableAt(tls, `${key}.tls`), `${key}.tls`) }),
      ...(auth === undefined ? {} : { auth: readAuth(tableAt(auth, `${key}.auth`), `${key}.auth`) }),
    });
  }
  return configs;
}

function readAuths(table: Table): Map<string, Partial<AuthConfig>> {
  const auths = new Map<string, Partial<AuthConfig>>();
  for (const [address, value] of Object.entries(table)) {
    const key = `registry.auths.${address}`;
    const host = address.includes("://") ? URL.parse(address)?.host : address;
    if (host === undefined)
      throw invalidArgument(`failed to parse registry url ${JSON.stringify(address)} from \`registry.auths\``);
    auths.set(host, readAuth(tableAt(value, key), key));
  }
  return auths;
}

function readAuth(table: Table, key: string): Partial<AuthConfig> {
  const field = (name: string): string => text(table[name] ?? "", `${key}.${name}`);
  return {
    username: field("username"),
    password: field("password"),
    auth: field("auth"),
    identityToken: field("identitytoken"),
  };
}

function readTls(table: Table, key: string): RegistryHost["tls"] {
  const file = (name: string): string | undefined => {
    const path = text(table[name] ?? "", `${key}.${name}`);
    return path === "" ? undefined : readPem(path, `${key}.${name}`);
  };
  const ca = file("ca_file");
  const certificate = file("cert_file");
  const own = file("key_file");
  if ((certificate === undefined) !== (own === undefined))
    throw invalidArgument(`"${key}" needs both cert_file and key_file, or neither`);
  const skip = table.insecure_skip_verify ?? false;
  if (typeof skip !== "boolean") throw wrong(`${key}.insecure_skip_verify`, "true or false");
  return {
    skipVerify: skip,
    ...(ca === undefined ? {} : { ca: [ca] }),
    ...(certificate === undefined || own === undefined ? {} : { client: { certificate, key: own } }),
  };
}

function readPem(path: string, key: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw invalidArgument(`"${key}" names "${path}", which can't be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function tableAt(value: unknown, key: string): Table {
  if (!isTable(value)) throw wrong(key, "a table");
  return value;
}

function text(value: unknown, key: string): string {
  if (typeof value !== "string") throw wrong(key, "a string");
  return value;
}

function texts(value: unknown, key: string): string[] {
  if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) throw wrong(key, "a list of strings");
  return value as string[];
}

const wrong = (key: string, expected: string): Error => invalidArgument(`"${key}" must be ${expected}`);
