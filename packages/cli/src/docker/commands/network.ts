import { isIPv4, isIPv6 } from "node:net";
import { membersOf, namesDirectory } from "@hull/client/network/names";
import { networkNamed, networksIn } from "@hull/client/network/networks";
import { ownNetworks } from "@hull/client/network/own-networks";
import type { Network } from "@hull/cni";
import { compileTemplate } from "../../template/index.ts";
import { needArguments } from "../find.ts";
import { formatJson } from "../format.ts";
import type { Call } from "../globals.ts";
import { printRows } from "../listing.ts";
import { heldNamespaces } from "../network/flags.ts";
import { explain } from "../session.ts";

const columns = [
  ["NAME", "Name"],
  ["DRIVER", "Driver"],
  ["SCOPE", "Scope"],
  ["FILE", "File"],
] as const;

/** `hull network ls`: those that are always there, and the host's configurations of CNI. */
export async function listNetworks(call: Call<{ quiet: boolean; format: string | undefined }>): Promise<number> {
  const { args, flags, host } = call;
  needArguments(args, 0, 0, "");
  const row = (name: string, driver: string, file = "") => ({ Name: name, Driver: driver, Scope: "local", File: file });
  const configured = networksIn(host.env);
  const own = configured.some(({ name }) => name === "bridge") ? [] : [row("bridge", "bridge")];
  const rows = [
    ...own,
    ...configured.map((network) => row(network.name, driverOf(network), network.file)),
    row("host", "host"),
    row("none", "null"),
  ].sort((a, b) => (a.Name < b.Name ? -1 : 1));
  if (flags.quiet) await host.out(rows.map(({ Name }) => `${Name}\n`).join(""));
  else await printRows(host, rows, { format: flags.format, columns });
  return 0;
}

const driverOf = ({ plugins }: Network): string => plugins[0]?.type ?? "";

/** Where networks and the names of their containers are. */
interface Place {
  readonly env: Parameters<typeof networkNamed>[1];
  readonly directory: string;
}

/** `hull network inspect`: what a network is made of. */
export async function inspectNetworks(call: Call<{ format: string | undefined }>): Promise<number> {
  const { args, flags, globals, host } = call;
  needArguments(args, 1, Number.POSITIVE_INFINITY, "a network is");
  const { format } = flags;
  const template = format === undefined || format === "json" ? undefined : compileTemplate(format);
  const place = { env: host.env, directory: namesDirectory(heldNamespaces(globals)) };
  const found: unknown[] = [];
  let status = 0;
  for (const name of args) {
    try {
      found.push(describe(name, place));
    } catch (error) {
      host.err(`hull: ${explain(error, globals)}\n`);
      status = 1;
    }
  }
  if (format === "json") await host.out(`${JSON.stringify(found)}\n`);
  else if (template === undefined) await host.out(formatJson(found));
  else for (const each of found) await host.out(`${template(each)}\n`);
  return status;
}

function describe(name: string, { env, directory }: Place): unknown {
  if (name === "host" || name === "none")
    return { Name: name, Scope: "local", Driver: name === "none" ? "null" : name, File: "", Plugins: [] };
  const network = networkNamed(name, env);
  const own = ownNetworks(env).find((each) => each.network.name === name);
  const members = membersOf(directory, name).map(({ key, names: [first = ""], addresses }) => [
    key,
    { Name: first, IPv4Address: addresses.find(isIPv4) ?? "", IPv6Address: addresses.find(isIPv6) ?? "" },
  ]);
  const { file, plugins } = network;
  return {
    Name: name,
    ...(own === undefined ? {} : { Created: own.createdAt }),
    Scope: "local",
    Driver: driverOf(network),
    IPAM: { Driver: ipamOf(network).type ?? "", Config: ipamOf(network).ranges?.flat().map(rangeOf) ?? [] },
    ...(own === undefined
      ? {}
      : { Internal: own.internal, Containers: Object.fromEntries(members), Labels: own.labels }),
    File: file,
    Plugins: plugins,
  };
}

/** What a plugin is told of addresses, where it is host-local. */
interface Ipam {
  readonly type?: string;
  readonly ranges?: readonly (readonly IpamRange[])[];
}

interface IpamRange {
  readonly subnet?: string;
  readonly gateway?: string;
}

const ipamOf = ({ plugins }: Network): Ipam => (plugins[0]?.ipam ?? {}) as Ipam;

const rangeOf = ({ subnet = "", gateway }: IpamRange) => ({
  Subnet: subnet,
  ...(gateway === undefined ? {} : { Gateway: gateway }),
});
