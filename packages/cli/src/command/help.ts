import type { Flag, Flags } from "./flags.ts";
import { formatDuration } from "./format.ts";
import type { Command } from "./tree.ts";

/**
 * The help of a command, in hull's own layout.
 * @param path the way to it, the program's root first
 * @param columns of the terminal that it is for; without, no line is broken
 */
export function formatHelp(path: readonly Command[], columns = process.stdout.columns || Infinity): string {
  const [root] = path;
  const last = path.at(-1);
  if (root === undefined || last === undefined) return "";
  const name = path.map((each) => each.name).join(" ");
  const list = (heading: string, rows: readonly Row[]): string => formatList(heading, rows, columns);
  const about = (last.description ?? capital(last.summary)).split("\n");
  const sections = [about.map((line) => broken(line, columns, 0)).join("\n"), usage(name, last)];
  for (const [heading, commands] of headings(last)) {
    sections.push(
      list(
        heading,
        commands.map((each) => [[each.name, ...(each.aliases ?? [])].join(", "), each.summary]),
      ),
    );
  }
  const flags = Object.entries(last.flags ?? {}).filter(([, flag]) => !flag.hidden);
  if (flags.length > 0)
    sections.push(
      list(
        "Flags",
        flags.map(([key, flag]) => [flagNames(key, flag), flagSummary(flag)]),
      ),
    );
  const above: Flags = Object.assign({}, ...path.slice(0, -1).map((each) => each.flags ?? {}));
  const globals = Object.entries(above).filter(([, flag]) => !flag.hidden);
  if (globals.length > 0) {
    sections.push(
      list(
        "Global flags",
        globals.map(([key, flag]) => [flagNames(key, flag), flagSummary(flag)]),
      ),
    );
  }
  if (last.commands !== undefined) sections.push(`"${name} COMMAND --help" says more about a command.`);
  return `${sections.join("\n\n")}\n`;
}

function usage(name: string, { commands, usage: rest }: Command): string {
  return `Usage: ${name}${commands === undefined ? "" : " [flags] COMMAND"}${rest === undefined ? "" : ` ${rest}`}`;
}

function headings({ commands = [] }: Command): Map<string, Command[]> {
  const found = new Map<string, Command[]>();
  for (const each of commands) {
    if (each.hidden) continue;
    const heading = each.heading ?? "Commands";
    found.set(heading, [...(found.get(heading) ?? []), each]);
  }
  return found;
}

/** A name, and what it is. */
type Row = readonly [string, string];

/** Less than this beside the names isn't worth it: then what they are goes below. */
const narrow = 24;

function formatList(heading: string, rows: readonly Row[], columns: number): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  const indent = columns - width - 4 < narrow ? 8 : width + 4;
  const lines = rows.map(([left, right]) => {
    if (indent === width + 4) return broken(`  ${left.padEnd(width)}  ${right}`, columns, indent);
    return `  ${left}\n${broken(" ".repeat(indent) + right, columns, indent)}`;
  });
  return `${heading}:\n${lines.join("\n")}`;
}

/** A line in lines of so many columns, broken between words where they are longer; from the second on with an indent. */
function broken(line: string, columns: number, indent: number): string {
  if (line.length < columns) return line;
  const lines: string[] = [];
  let rest = line;
  while (rest.length >= columns) {
    const at = rest.lastIndexOf(" ", columns - 1);
    if (at <= indent) break;
    lines.push(rest.slice(0, at).trimEnd());
    rest = " ".repeat(indent) + rest.slice(at + 1);
  }
  return [...lines, rest].join("\n");
}

function flagNames(name: string, flag: Flag): string {
  const short = flag.aliases?.find((alias) => alias.length === 1);
  const long = [name, ...(flag.aliases ?? [])].filter((each) => each.length > 1).map((each) => `--${each}`);
  const names = name.length === 1 ? `-${name}` : `${short === undefined ? "    " : `-${short}, `}${long.join(", ")}`;
  return flag.kind === "switch" ? names : `${names} ${flag.value ?? flag.kind.toUpperCase()}`;
}

function flagSummary(flag: Flag): string {
  const notes = [
    flag.default === undefined || flag.default === "" ? "" : ` (default: ${formatDefault(flag)})`,
    flag.env === undefined ? "" : ` [${flag.env.map((variable) => `$${variable}`).join(", ")}]`,
    flag.supported === false ? " (not supported yet)" : "",
  ];
  return flag.summary + notes.join("");
}

/** The default of a flag as help shows it. */
export function formatDefault(flag: Flag): string {
  return flag.kind === "duration" ? formatDuration(Number(flag.default)) : String(flag.default);
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
