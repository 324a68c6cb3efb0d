import { configurationsIn, networkNamed } from "@hull/client/network/networks";
import { loadNetworks, type Network } from "@hull/cni";
import { compileTemplate } from "../../template/index.ts";
import { needArguments } from "../find.ts";
import { formatJson } from "../format.ts";
import type { Call } from "../globals.ts";
import { printRows } from "../listing.ts";
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
  const configured = loadNetworks(configurationsIn(host.env));
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

/** `hull network inspect`: what a network is made of. */
export async function inspectNetworks(call: Call<{ format: string | undefined }>): Promise<number> {
  const { args, flags, globals, host } = call;
  needArguments(args, 1, Number.POSITIVE_INFINITY, "a network is");
  const { format } = flags;
  const template = format === undefined || format === "json" ? undefined : compileTemplate(format);
  const found: unknown[] = [];
  let status = 0;
  for (const name of args) {
    try {
      found.push(describe(name, host.env));
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

function describe(name: string, env: Parameters<typeof networkNamed>[1]): unknown {
  if (name === "host" || name === "none")
    return { Name: name, Scope: "local", Driver: name === "none" ? "null" : name, File: "", Plugins: [] };
  const network = networkNamed(name, env);
  const { file, plugins } = network;
  return { Name: name, Scope: "local", Driver: driverOf(network), File: file, Plugins: plugins };
}
