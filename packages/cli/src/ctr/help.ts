import { version as clientVersion } from "@hull/daemon/version";
import { type Command, type Flag, type Flags, formatColumns, formatDefault } from "../command/index.ts";

const layout = { minWidth: 1, padding: 2 };
const banner = `
        __
  _____/ /______
 / ___/ __/ ___/
/ /__/ /_/ /
\\___/\\__/_/

containerd CLI
`;

/** The help of a command in the layout of ctr's. */
export function formatCtrHelp(path: readonly Command[]): string {
  const last = path.at(-1);
  if (last === undefined) return "";
  const text =
    path.length === 1 ? rootHelp(last) : last.commands === undefined ? commandHelp(path, last) : groupHelp(path, last);
  return formatColumns(text, layout);
}

function rootHelp(root: Command): string {
  return `NAME:
   ctr - ${banner}

USAGE:
   ctr [global options] command [command options] [arguments...]

VERSION:
   ${clientVersion}

DESCRIPTION:
   
ctr is a debug and administrative client for containerd's API, as hull
serves it. Its commands are those of containerd's own ctr 1.6.

COMMANDS:
${commandRows(root)}   help, h\tShows a list of commands or help for one command

GLOBAL OPTIONS:
${flagRows(withHelp(root.flags))}`;
}

function groupHelp(path: readonly Command[], group: Command): string {
  return `NAME:
   ${nameOf(path)} - ${group.summary}

USAGE:
   ${nameOf(path)} command [command options] [arguments...]

COMMANDS:
${commandRows(group)}
OPTIONS:
${flagRows(withHelp(group.flags))}   
`;
}

function commandHelp(path: readonly Command[], command: Command): string {
  const flags = command.flags ?? {};
  const hasFlags = Object.values(flags).some(({ hidden }) => !hidden);
  const usage = `${nameOf(path)}${hasFlags ? " [command options]" : ""} ${command.usage ?? "[arguments...]"}`;
  const description = command.description === undefined ? "" : `\nDESCRIPTION:\n   ${command.description}\n`;
  const options = hasFlags ? `\nOPTIONS:\n${flagRows(flags)}   \n` : "";
  return `NAME:
   ${nameOf(path)} - ${command.summary}

USAGE:
   ${usage}
${description}${options}`;
}

const nameOf = (path: readonly Command[]): string => path.map(({ name }) => name).join(" ");

const withHelp = (flags: Flags = {}): Flags => {
  const { version, ...others } = flags;
  const help: Flag = { kind: "switch", aliases: ["h"], summary: "show help" };
  return version === undefined ? { ...others, help } : { ...others, help, version };
};

function commandRows({ commands = [] }: Command): string {
  return commands
    .filter(({ hidden }) => !hidden)
    .map(({ name, aliases = [], summary, unsupported }) => {
      const note = unsupported === undefined ? "" : " (not supported by hull)";
      return `   ${[name, ...aliases].join(", ")}\t${summary}${note}\n`;
    })
    .join("");
}

function flagRows(flags: Flags): string {
  return Object.entries(flags)
    .filter(([, { hidden }]) => !hidden)
    .map(([name, flag]) => `   ${namesOf(name, flag)}\t${summaryOf(flag)}\n`)
    .join("");
}

function namesOf(name: string, flag: Flag): string {
  const value = flag.kind === "switch" ? "" : ` ${flag.value ?? "value"}`;
  return [name, ...(flag.aliases ?? [])].map((each) => `${each.length === 1 ? "-" : "--"}${each}${value}`).join(", ");
}

function summaryOf(flag: Flag): string {
  const numeric = flag.kind === "integer" || flag.kind === "number" || flag.kind === "duration";
  const shown =
    flag.default === undefined && numeric
      ? "0"
      : flag.default === undefined || flag.default === ""
        ? undefined
        : flag.kind === "text"
          ? `"${flag.default}"`
          : formatDefault(flag);
  const env = flag.env === undefined ? "" : ` [${flag.env.map((name) => `$${name}`).join(", ")}]`;
  const unsupported = flag.supported === false ? ` (not supported by hull${flag.why === undefined ? " yet" : ""})` : "";
  return `${flag.summary}${shown === undefined ? "" : ` (default: ${shown})`}${env}${unsupported}`;
}
