import type { Command, Flag, Flags, Program } from "../command/index.ts";
import { findCommand } from "../command/index.ts";

/** What an argument or the value of a flag can be the name of. */
export type NameKind =
  | "container"
  | "running"
  | "stopped"
  | "image"
  | "namespace"
  | "snapshot"
  | "snapshotter"
  | "content"
  | "lease"
  | "network"
  | "file"
  | "directory";

export interface Candidate {
  readonly word: string;
  /** What it is, for shells that show it. */
  readonly about: string;
}

export interface Completion {
  readonly candidates: readonly Candidate[];
  /** What the shell should offer by itself beside them. */
  readonly paths: "none" | "files" | "directories";
}

/** Finds names that are there; what was said of the daemon is among `globals`. Gives none rather than fail. */
export type NameSource = (
  kind: Exclude<NameKind, "file" | "directory">,
  globals: Readonly<Record<string, string>>,
) => Promise<readonly string[]>;

const nothing: Completion = { candidates: [], paths: "none" };

/**
 * What may stand for the last of the words, which may be empty or begun. The words are those behind the program's name.
 */
export async function complete(program: Program, words: readonly string[], names: NameSource): Promise<Completion> {
  return await new Walk(program, names).complete(words);
}

class Walk {
  readonly #program: Program;
  readonly #names: NameSource;
  /** Values of the flags that were passed on the way, by long name. */
  readonly #given: Record<string, string> = {};

  constructor(program: Program, names: NameSource) {
    this.#program = program;
    this.#names = names;
  }

  async complete(words: readonly string[]): Promise<Completion> {
    let command = this.#program.root;
    const path: string[] = [];
    const current = words.at(-1) ?? "";
    const before = words.slice(0, -1);
    let args = 0;
    let flagsEnded = false;
    for (let at = 0; at < before.length; at++) {
      const word = before[at] ?? "";
      if (!flagsEnded && word === "--") flagsEnded = true;
      else if (!flagsEnded && word.startsWith("-") && word !== "-") {
        const flag = this.#flagOf(command, word);
        if (flag?.needsValue !== true) continue;
        if (at + 1 === before.length) return await this.#values(flag.flag, current, "");
        this.#given[flag.name] = before[++at] ?? "";
      } else if (command.commands !== undefined && command.load === undefined) {
        const next = findCommand(command, word);
        if (next === undefined) return nothing;
        if (next.program !== undefined) {
          const inner = new Walk(await next.program(), this.#names);
          Object.assign(inner.#given, this.#given);
          return await inner.complete(words.slice(at + 1));
        }
        path.push(next.name);
        command = next;
      } else {
        args++;
        if (command.stopAtArgument === true && args > 0) flagsEnded = true;
      }
    }
    if (!flagsEnded && current.startsWith("-")) return await this.#flags(command, current);
    if (command.commands !== undefined && command.load === undefined) return commandsOf(command, current);
    const kind = this.#program.completes?.(path.join(" "), args);
    return kind === undefined ? nothing : await this.#named(kind, current, "");
  }

  /** The flag that a word is, and whether its value comes in the next word. */
  #flagOf(command: Command, word: string): { name: string; flag: Flag; needsValue: boolean } | undefined {
    const { dialect } = this.#program;
    const equals = word.indexOf("=");
    const written = (equals < 0 ? word : word.slice(0, equals)).replace(/^--?/, "");
    const short = dialect === "posix" && !word.startsWith("--");
    // Of short flags in one word, the last may want a value.
    const key = short && equals < 0 ? this.#lastShort(command.flags ?? {}, written) : written;
    const found = key === undefined ? undefined : named(command.flags ?? {}, key);
    if (found === undefined) return undefined;
    const [name, flag] = found;
    if (equals >= 0) this.#given[name] = word.slice(equals + 1);
    return { name, flag, needsValue: flag.kind !== "switch" && equals < 0 };
  }

  /** Undefined if a value stands in the word already: `-n4`. */
  #lastShort(flags: Flags, letters: string): string | undefined {
    for (const [at, letter] of [...letters].entries()) {
      if (named(flags, letter)?.[1].kind !== "switch") return at === letters.length - 1 ? letter : undefined;
    }
    return letters.at(-1);
  }

  async #flags(command: Command, current: string): Promise<Completion> {
    const equals = current.indexOf("=");
    if (equals >= 0) {
      const found = named(command.flags ?? {}, current.slice(0, equals).replace(/^--?/, ""));
      if (found === undefined) return nothing;
      return await this.#values(found[1], current.slice(equals + 1), current.slice(0, equals + 1));
    }
    const help: Flags = { help: { kind: "switch", summary: "Print the help" } };
    const candidates = Object.entries({ ...command.flags, ...help })
      .filter(([, { hidden, supported }]) => hidden !== true && supported !== false)
      .flatMap(([name, { aliases = [], summary }]) =>
        [name, ...aliases].map((each) => ({ word: `${each.length === 1 ? "-" : "--"}${each}`, about: summary })),
      )
      // One dash alone asks for all; the long ones say more.
      .filter(({ word }) => (current === "-" ? word.startsWith("--") || word.length === 2 : word.startsWith(current)));
    return { candidates, paths: "none" };
  }

  async #values(flag: Flag, current: string, prefix: string): Promise<Completion> {
    if (flag.choices !== undefined) return choose(flag.choices, current, prefix);
    return await this.#named(flag.names ?? "file", current, prefix);
  }

  async #named(kind: NameKind, current: string, prefix: string): Promise<Completion> {
    if (kind === "file") return { candidates: [], paths: "files" };
    if (kind === "directory") return { candidates: [], paths: "directories" };
    return choose(await this.#names(kind, this.#given), current, prefix, kind);
  }
}

function choose(words: readonly string[], current: string, prefix: string, about = ""): Completion {
  const fitting = words.filter((word) => word.startsWith(current));
  return { candidates: fitting.map((word) => ({ word: prefix + word, about })), paths: "none" };
}

function commandsOf(group: Command, current: string): Completion {
  const shown = (group.commands ?? []).filter(
    ({ hidden, unsupported }) => hidden !== true && unsupported === undefined,
  );
  const byName = shown.flatMap(({ name, summary }) =>
    name.startsWith(current) ? [{ word: name, about: summary }] : [],
  );
  if (byName.length > 0) return { candidates: byName, paths: "none" };
  const byAlias = shown.flatMap(({ aliases = [], summary }) =>
    aliases.filter((alias) => alias.startsWith(current)).map((word) => ({ word, about: summary })),
  );
  return { candidates: byAlias, paths: "none" };
}

function named(flags: Flags, written: string): [string, Flag] | undefined {
  return Object.entries(flags).find(([name, { aliases = [] }]) => name === written || aliases.includes(written));
}
