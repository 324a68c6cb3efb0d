import { nearest } from "@hull/engine/plugin/nearest";
import { HullError } from "@hull/errors";
import type { Flags } from "./flags.ts";
import type { Host } from "./host.ts";
import { type Parsed, parseFlags, UnknownFlag } from "./parse.ts";
import { type Command, findCommand, type Invocation, type Program } from "./tree.ts";

const noAction = 3;

/** Runs a program's command line; gives the exit status. Never throws. */
export async function runCommand(program: Program, args: readonly string[], host: Host): Promise<number> {
  const run = new Run(program, host);
  try {
    return (await run.walk([program.root], args)) ?? 0;
  } catch (thrown) {
    return await run.fail(thrown);
  }
}

/** One command line on its way down the tree. */
class Run {
  readonly #program: Program;
  readonly #host: Host;
  readonly #values: Parsed["values"] = {};
  readonly #given = new Set<string>();

  constructor(program: Program, host: Host) {
    this.#program = program;
    this.#host = host;
  }

  async walk(path: readonly Command[], args: readonly string[]): Promise<number | undefined> {
    const command = path.at(-1) ?? this.#program.root;
    if (command.rawArguments) return await this.#act(path, command, {}, args);
    const parsed = await this.#parse(path, command, args);
    if (typeof parsed === "number") return parsed;
    if (parsed.help) return await this.#help(path);
    for (const name of parsed.given) this.#given.add(name);
    if (command.load !== undefined) return await this.#act(path, command, parsed.values, parsed.rest);
    Object.assign(this.#values, parsed.values);
    const [name, ...rest] = parsed.rest;
    if (parsed.values.version === true && this.#program.version !== undefined && path.length === 1) {
      await this.#host.out(`${this.#program.version}\n`);
      return 0;
    }
    if (name === undefined) return await this.#help(path);
    const next = findCommand(command, name);
    if (next !== undefined) return await this.walk([...path, next], rest);
    if (name === "help" || name === "h") return await this.#helpOn(path, rest);
    return this.#unknownCommand(path, name);
  }

  async fail(thrown: unknown): Promise<number> {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "EPIPE") return 1;
    const { name, explain } = this.#program;
    const message = explain?.(thrown, this.#values) ?? HullError.from(thrown).message;
    this.#host.err(`${name}: ${message}\n`);
    return 1;
  }

  async #act(
    path: readonly Command[],
    command: Command,
    flags: Parsed["values"],
    args: readonly string[],
  ): Promise<number | undefined> {
    if (command.load === undefined) return await this.#help(path);
    const action = await command.load();
    const call: Invocation = {
      flags: flags as Invocation["flags"],
      globals: this.#values as Invocation["globals"],
      given: this.#given,
      args,
      host: this.#host,
      help: () => this.#help(path),
    };
    return await action(call as never);
  }

  async #parse(path: readonly Command[], command: Command, args: readonly string[]): Promise<Parsed | number> {
    const flags: Flags = command.flags ?? {};
    try {
      return parseFlags(flags, args, {
        dialect: this.#program.dialect,
        // A group's flags stand before the name of the command, whose own follow it.
        stopAtArgument: command.stopAtArgument === true || command.load === undefined,
        env: this.#host.env,
      });
    } catch (thrown) {
      return await this.#wrongUsage(path, flags, thrown);
    }
  }

  async #wrongUsage(path: readonly Command[], flags: Flags, thrown: unknown): Promise<number> {
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    const { name, dialect, help } = this.#program;
    const near = thrown instanceof UnknownFlag ? nearestFlag(flags, thrown.flag) : undefined;
    const hint = near === undefined ? "" : `\nDid you mean "${near}"?`;
    if (dialect === "go") {
      await this.#host.out(`Incorrect Usage${path.length === 1 ? "." : ":"} ${message}\n\n${help(path)}`);
      this.#host.err(`${name}: ${message}${hint}\n`);
      return 1;
    }
    const words = path.map((each) => each.name).join(" ");
    this.#host.err(`${name}: ${message}${hint}\nSee "${words} --help".\n`);
    return 125;
  }

  async #help(path: readonly Command[]): Promise<number> {
    await this.#host.out(this.#program.help(path));
    return 0;
  }

  async #helpOn(path: readonly Command[], names: readonly string[]): Promise<number> {
    let way = path;
    for (const name of names) {
      const next = findCommand(way.at(-1) ?? this.#program.root, name);
      if (next === undefined) return this.#unknownCommand(way, name);
      way = [...way, next];
    }
    return await this.#help(way);
  }

  #unknownCommand(path: readonly Command[], name: string): number {
    const group = path.at(-1) ?? this.#program.root;
    const names = (group.commands ?? []).flatMap((each) => (each.hidden ? [] : [each.name, ...(each.aliases ?? [])]));
    const near = nearest(name, names);
    const words = path.map((each) => each.name).join(" ");
    if (this.#program.dialect === "go") {
      const hint = near === undefined ? "" : `\nDid you mean "${words} ${near}"?`;
      this.#host.err(`No help topic for '${name}'${hint}\n`);
      return noAction;
    }
    const hint = near === undefined ? `See "${words} --help".` : `Did you mean "${words} ${near}"?`;
    this.#host.err(`${this.#program.name}: "${name}" is not a command. ${hint}\n`);
    return 1;
  }
}

function nearestFlag(flags: Flags, name: string): string | undefined {
  const near = nearest(
    name,
    Object.entries(flags)
      .flatMap(([key, { aliases = [] }]) => [key, ...aliases])
      .filter((each) => each.length > 1),
  );
  return near === undefined ? undefined : `--${near}`;
}
