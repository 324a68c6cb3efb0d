import { parseDuration } from "@hull/engine/plugin/duration";
import { invalidArgument } from "@hull/errors";
import type { Flag, Flags } from "./flags.ts";

/**
 * How flags are written.
 *
 *   go     as Go's flag package: one dash or two for every name, `-name value`, `-name=value`, switches only `-name=false`;
 *          short ones don't combine. ctr.
 *   posix  as GNU's getopt: `--name value`, `--name=value`, `-n value`, `-nvalue`, `-it`. docker and nerdctl.
 *
 * In both `--` ends the flags.
 */
export type Dialect = "go" | "posix";

/** What a command line said. */
export interface Parsed {
  readonly values: Record<string, boolean | string | number | readonly string[] | undefined>;
  /** Long names of the flags that were given, by the command line or the environment. */
  readonly given: Set<string>;
  readonly rest: readonly string[];
  /** --help or -h was among the flags. */
  readonly help: boolean;
}

export interface ParseOptions {
  readonly dialect: Dialect;
  /** True if flags end at the first argument. */
  readonly stopAtArgument: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** @throws InvalidArgument for a flag that is unknown, lacks its value or has a bad one, in the words of the dialect's own parser */
export function parseFlags(flags: Flags, args: readonly string[], options: ParseOptions): Parsed {
  return new Parser(flags, args, options).parse();
}

/** A flag that no table has: its name, for a suggestion. */
export class UnknownFlag extends Error {
  readonly flag: string;

  constructor(message: string, flag: string) {
    super(message);
    this.flag = flag;
  }
}

class Parser {
  readonly #names = new Map<string, string>();
  readonly #flags: Flags;
  readonly #args: readonly string[];
  readonly #options: ParseOptions;
  readonly #lists = new Map<string, string[]>();
  readonly #values: Parsed["values"] = {};
  readonly #given = new Set<string>();
  readonly #rest: string[] = [];
  #at = 0;
  #help = false;

  constructor(flags: Flags, args: readonly string[], options: ParseOptions) {
    this.#flags = flags;
    this.#args = args;
    this.#options = options;
    for (const [name, flag] of Object.entries(flags)) {
      for (const each of [name, ...(flag.aliases ?? [])]) this.#names.set(each, name);
    }
  }

  parse(): Parsed {
    this.#setDefaults();
    while (this.#at < this.#args.length) {
      const argument = this.#args[this.#at++] ?? "";
      if (argument === "--") {
        this.#rest.push(...this.#args.slice(this.#at));
        break;
      }
      if (argument === "-" || !argument.startsWith("-")) {
        if (this.#options.stopAtArgument) {
          this.#rest.push(...this.#args.slice(this.#at - 1));
          break;
        }
        this.#rest.push(argument);
      } else if (this.#options.dialect === "go" || argument.startsWith("--")) {
        this.#long(argument);
      } else {
        this.#shorts(argument);
      }
    }
    return { values: this.#values, given: this.#given, rest: this.#rest, help: this.#help };
  }

  #setDefaults(): void {
    for (const [name, flag] of Object.entries(this.#flags)) {
      const fallback = flag.kind === "switch" ? false : flag.kind === "list" ? [] : flag.default;
      this.#values[name] = fallback;
      const fromEnv = flag.env?.map((variable) => this.#options.env[variable]).find((value) => value);
      if (fromEnv === undefined) continue;
      this.#set(name, fromEnv, name);
      // What the command line adds to a list replaces the environment's.
      this.#lists.delete(name);
    }
  }

  #long(argument: string): void {
    const text = argument.slice(argument.startsWith("--") ? 2 : 1);
    const equals = text.indexOf("=");
    const written = equals < 0 ? text : text.slice(0, equals);
    const inline = equals < 0 ? undefined : text.slice(equals + 1);
    const name = this.#names.get(written);
    const known = name !== undefined && (this.#options.dialect === "go" || written.length > 1);
    if (!known || name === undefined) {
      if (written === "help" || (written === "h" && this.#options.dialect === "go")) this.#help = true;
      else throw this.#unknown(written, argument);
    } else if (this.#flags[name]?.kind === "switch") {
      this.#set(name, inline ?? "true", written);
    } else {
      this.#set(name, inline ?? this.#next(argument, written), written);
    }
  }

  #shorts(argument: string): void {
    for (let at = 1; at < argument.length; at++) {
      const letter = argument[at] ?? "";
      const name = this.#names.get(letter);
      const behind = argument.slice(at + 1);
      if (name === undefined) {
        if (letter !== "h") throw new UnknownFlag(`unknown shorthand flag: '${letter}' in ${argument}`, letter);
        this.#help = true;
      } else if (this.#flags[name]?.kind === "switch") {
        const value = /^=(.*)$/s.exec(behind)?.[1];
        this.#set(name, value ?? "true", letter);
        if (value !== undefined) return;
      } else {
        const inline = behind === "" ? undefined : behind.replace(/^=/, "");
        this.#set(name, inline ?? this.#next(argument, letter), letter);
        return;
      }
    }
  }

  #next(argument: string, written: string): string {
    const value = this.#args[this.#at++];
    if (value !== undefined) return value;
    throw invalidArgument(
      this.#options.dialect === "go"
        ? `flag needs an argument: -${written}`
        : written.length === 1
          ? `flag needs an argument: '${written}' in ${argument}`
          : `flag needs an argument: --${written}`,
    );
  }

  #unknown(written: string, argument: string): Error {
    return this.#options.dialect === "go"
      ? new UnknownFlag(`flag provided but not defined: -${written}`, written)
      : new UnknownFlag(`unknown flag: ${argument.replace(/=.*/s, "")}`, written);
  }

  #set(name: string, text: string, written: string): void {
    const flag = this.#flags[name];
    if (flag === undefined) return;
    if (flag.supported === false)
      throw invalidArgument(
        `flag "--${name}" is not supported by hull${flag.why === undefined ? " yet" : `: ${flag.why}`}`,
      );
    this.#given.add(name);
    if (flag.kind === "list") {
      const list = this.#lists.get(name) ?? [];
      list.push(text);
      this.#lists.set(name, list);
      this.#values[name] = list;
    } else {
      this.#values[name] = this.#value(flag, text, written);
    }
  }

  #value(flag: Flag, text: string, written: string): boolean | string | number {
    switch (flag.kind) {
      case "switch":
        if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true;
        if (/^(0|f|F|FALSE|false|False)$/.test(text)) return false;
        throw this.#bad(text, written, "parse error", "boolean ");
      case "integer":
        if (/^[+-]?\d+$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text);
        throw this.#bad(text, written, "parse error");
      case "number":
        if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return Number(text);
        throw this.#bad(text, written, "parse error");
      case "duration":
        try {
          return parseDuration(text);
        } catch {
          throw this.#bad(text, written, "parse error");
        }
      case "text":
      case "list":
        return text;
    }
  }

  #bad(text: string, written: string, reason: string, kind = ""): Error {
    const quoted = JSON.stringify(text);
    if (this.#options.dialect === "go") {
      const preposition = kind === "" ? "flag" : "";
      return invalidArgument(
        `invalid ${kind}value ${quoted} for ${preposition}${preposition && " "}-${written}: ${reason}`,
      );
    }
    return invalidArgument(`invalid argument ${quoted} for "--${written}" flag: ${reason}`);
  }
}
