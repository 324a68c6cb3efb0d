import { IntrospectionDefinition, type Plugin } from "@hull/api/gen/containerd/services/introspection/v1/introspection";
import { codeOfNumber } from "@hull/errors";
import { formatColumns, formatTable } from "../command/index.ts";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import type { pluginsList } from "./flags.ts";

const layout = { minWidth: 4, padding: 4 };
const codeSkipped = 9;

export const listPlugins: CtrAction<typeof pluginsList> = ({ flags, globals, host }) =>
  withClient(globals, async (client) => {
    const { plugins } = await client.service(IntrospectionDefinition).plugins({ filters: [] });
    if (flags.quiet) await host.out(plugins.map(({ id }) => `${id}\n`).join(""));
    else if (flags.detailed) await host.out(formatColumns(plugins.map(detailed).join("\t\t\t\n"), layout));
    else {
      const rows = plugins.map((plugin) => [plugin.type, plugin.id, platformsOf(plugin) || "-", statusOf(plugin)]);
      await host.out(formatTable([["TYPE", "ID", "PLATFORMS", "STATUS"], ...rows], layout));
    }
    return 0;
  });

/** As Go's gRPC names codes: `NotFound`. */
function codeNameOf(number: number): string {
  const name = codeOfNumber(number);
  return name.slice(0, 1).toUpperCase() + name.slice(1);
}

function platformsOf({ platforms }: Plugin): string {
  return platforms
    .map(({ os, architecture, variant }) => [os, architecture, variant].filter((part) => part !== "").join("/"))
    .join(",");
}

function statusOf({ initErr }: Plugin): string {
  if (initErr === undefined) return "ok";
  return initErr.message.includes("skip plugin") || initErr.code === codeSkipped ? "skip" : "error";
}

function detailed(plugin: Plugin): string {
  const { type, id, requires, exports, capabilities, initErr } = plugin;
  const lines = [`Type:\t ${type}`, `ID:\t ${id}`];
  if (requires.length > 0) lines.push("Requires:\t", ...requires.map((each) => `\t ${each}`));
  const platforms = platformsOf(plugin);
  if (platforms !== "") lines.push(`Platforms:\t ${platforms}`);
  const exported = Object.entries(exports);
  if (exported.length > 0) lines.push("Exports:\t", ...exported.map(([key, value]) => `\t ${key} \t ${value}`));
  if (capabilities.length > 0) lines.push(`Capabilities:\t ${capabilities.join(",")}`);
  if (initErr !== undefined)
    lines.push("Error:\t", `\t Code:\t ${codeNameOf(initErr.code)}`, `\t Message:\t ${initErr.message}`);
  return `${lines.join("\n")}\n`;
}
