import type { Command, Flag, Flags, Program } from "../command/index.ts";
import { formatDefault } from "../command/index.ts";
import { bold, italic, Page } from "./roff.ts";

/** What stands in every page. */
export interface Edition {
  readonly version: string;
  readonly date: string;
}

/** A page as a file: `hull-run.1`. */
export interface ManFile {
  readonly name: string;
  readonly text: string;
}

/**
 * The pages of a program: one of its own, one for each command, one for each group with all of its commands. `name` is what the program's
 * page is called, which begins the others' names: "hull-ctr", "hull-ctr-images".
 */
export function manPages(program: Program, name: string, edition: Edition): ManFile[] {
  const { root } = program;
  const words = name.replaceAll("-", " ");
  const commands = shown(root).filter((command) => command.program === undefined && command.rawArguments !== true);
  return [
    { name: `${name}.1`, text: programPage(program, name, words, edition) },
    ...commands.map((command) => ({
      name: `${name}-${command.name}.1`,
      text: commandPage(program, command, { name, words, edition }),
    })),
  ];
}

const shown = ({ commands = [] }: Command): Command[] =>
  commands.filter(({ hidden, unsupported }) => hidden !== true && unsupported === undefined);

function programPage(program: Program, name: string, words: string, edition: Edition): string {
  const { root } = program;
  const page = new Page({ name, section: 1, about: root.summary, ...edition });
  page.section("Synopsis");
  page.raw(`${bold(words)} [${italic("flags")}] ${italic("command")} [${italic("argument")} ...]`);
  if (root.description !== undefined) {
    page.section("Description");
    page.paragraphs(root.description);
  }
  const headings = new Map<string, Command[]>();
  for (const command of shown(root)) {
    const heading = command.heading ?? "Commands";
    headings.set(heading, [...(headings.get(heading) ?? []), command]);
  }
  for (const [heading, commands] of headings) {
    page.section(heading);
    for (const command of commands) {
      const aliases = (command.aliases ?? []).map((alias) => `, ${bold(alias)}`).join("");
      page.item(bold(command.name) + aliases, `${command.summary}.`);
    }
  }
  flagsSection(page, program, "Flags", root.flags);
  environment(page, [root]);
  page.section("See also");
  page.raw(seeAlso(shown(root).map((command) => `${name}-${command.name}`)));
  return page.toString();
}

function commandPage(
  program: Program,
  command: Command,
  { name, words, edition }: { name: string; words: string; edition: Edition },
): string {
  const page = new Page({ name: `${name}-${command.name}`, section: 1, about: command.summary, ...edition });
  const own = `${words} ${command.name}`;
  page.section("Synopsis");
  const group = command.commands !== undefined && command.load === undefined;
  page.raw(
    `${bold(own)} ${group ? `[${italic("flags")}] ${italic("command")} [${italic("argument")} ...]` : usageOf(command)}`,
  );
  if (command.description !== undefined) {
    page.section("Description");
    page.paragraphs(command.description);
  }
  flagsSection(page, program, "Flags", command.flags);
  if (group) {
    page.section("Commands");
    for (const inner of leaves(command)) {
      page.subsection([inner.path, ...(inner.command.aliases ?? [])].join(", "));
      page.raw(`${bold(`${own} ${inner.path}`)} ${usageOf(inner.command)}`);
      page.raw(".PP");
      page.paragraphs(inner.command.description ?? `${inner.command.summary}.`);
      flagItems(page, program, inner.command.flags);
    }
  }
  environment(page, [command, ...leaves(command).map((inner) => inner.command)]);
  page.section("See also");
  page.raw(seeAlso([name]));
  return page.toString();
}

/** The commands of a group, those of groups in it with their whole path. */
function leaves(group: Command, before = ""): { path: string; command: Command }[] {
  return shown(group).flatMap((command) => {
    const path = `${before}${command.name}`;
    return command.commands === undefined ? [{ path, command }] : leaves(command, `${path} `);
  });
}

const usageOf = ({ usage = "" }: Command): string =>
  usage.replace(/\[arguments\.\.\.\]/, "").replaceAll(/[A-Za-z0-9_:|-]+/g, (word) => italic(word));

function flagsSection(page: Page, program: Program, title: string, flags: Flags = {}): void {
  if (visible(flags).length === 0) return;
  page.section(title);
  flagItems(page, program, flags);
}

const visible = (flags: Flags): [string, Flag][] =>
  Object.entries(flags).filter(([, { hidden, supported }]) => hidden !== true && supported !== false);

function flagItems(page: Page, program: Program, flags: Flags = {}): void {
  for (const [name, flag] of visible(flags)) {
    const names = [name, ...(flag.aliases ?? [])]
      .sort((a, b) => Math.min(a.length, 2) - Math.min(b.length, 2))
      .map((each) => bold(`${each.length === 1 ? "-" : "--"}${each}`));
    const value =
      flag.kind === "switch"
        ? ""
        : ` ${italic(flag.value ?? (program.dialect === "go" ? "value" : flag.kind.toUpperCase()))}`;
    const fallback = flag.default === undefined || flag.default === "" ? "" : ` The default is ${formatDefault(flag)}.`;
    const again = flag.kind === "list" ? " May be given several times." : "";
    page.item(names.join(", ") + value, `${flag.summary.replace(/\.?$/, ".")}${again}${fallback}`);
  }
}

function environment(page: Page, commands: readonly Command[]): void {
  const variables = new Map<string, string>();
  for (const { flags = {} } of commands) {
    for (const [name, { env = [] }] of visible(flags)) for (const variable of env) variables.set(variable, name);
  }
  if (variables.size === 0) return;
  page.section("Environment");
  for (const [variable, flag] of variables)
    page.item(bold(variable), `The value of --${flag} where that is not given.`);
}

const seeAlso = (names: readonly string[]): string => names.map((name) => `${bold(name)}(1)`).join(",\n");

/** The page of a program whose help is a text of its own: first a line of what it is, then its usage. */
export function textPage(name: string, section: number, text: string, edition: Edition): ManFile {
  const [first = "", ...rest] = text.trim().split("\n");
  const page = new Page({ name, section, about: first.replace(/^[^:]*: /, ""), ...edition });
  page.section("Usage");
  page.raw(".nf");
  page.paragraphs(rest.join("\n").replaceAll(/\n\s*\n/g, "\n \n"));
  page.raw(".fi");
  return { name: `${name}.${section}`, text: page.toString() };
}
