import { invalidArgument } from "@hull/errors";
import { functions, isTrue, show, step } from "./functions.ts";
import { pieces, type Token, tokens } from "./tokens.ts";

/** What a template makes of a value. @throws InvalidArgument for a value that it can't be used on */
export type Template = (value: unknown) => string;

interface Scope {
  readonly dot: unknown;
  readonly variables: Map<string, unknown>;
}

type Part = (scope: Scope) => string;
type Value = (scope: Scope) => unknown;

/** @throws InvalidArgument saying what is wrong with it */
export function compileTemplate(template: string): Template {
  const parser = new Parser(template);
  const whole = parser.block([]).part;
  return (value) => whole({ dot: value, variables: new Map([["$", value]]) });
}

class Parser {
  readonly #template: string;
  readonly #pieces: ReturnType<typeof pieces>;
  #at = 0;

  constructor(template: string) {
    this.#template = template;
    this.#pieces = pieces(template);
  }

  /** Reads until one of the words that may end it; none for the template's end. */
  block(ends: readonly string[]): { part: Part; end: string; rest: string } {
    const parts: Part[] = [];
    const part: Part = (scope) => parts.map((each) => each(scope)).join("");
    while (this.#at < this.#pieces.length) {
      const piece = this.#pieces[this.#at++];
      if (piece === undefined) break;
      if ("text" in piece) {
        parts.push(() => piece.text);
        continue;
      }
      const { action } = piece;
      const [word = "", rest = ""] = split(action);
      if (word === "end" || word === "else") {
        if (!ends.includes(word)) throw this.#wrong(`unexpected {{${action}}}`);
        return { part, end: word, rest };
      }
      if (word === "if" || word === "with") parts.push(this.#condition(word, rest));
      else if (word === "range") parts.push(this.#range(rest));
      else if (word === "define" || word === "template" || word === "block")
        throw this.#wrong(`{{${word}}} is not supported`);
      else parts.push(this.#print(action));
    }
    if (ends.length > 0) throw this.#wrong("an {{end}} is missing");
    return { part, end: "", rest: "" };
  }

  #condition(word: "if" | "with", text: string): Part {
    const value = this.#pipeline(text);
    const then = this.block(["else", "end"]);
    const otherwise = this.#otherwise(then);
    return (scope) => {
      const found = value(scope);
      if (!isTrue(found)) return otherwise(scope);
      return then.part(word === "with" ? { ...scope, dot: found } : scope);
    };
  }

  #otherwise({ end, rest }: { end: string; rest: string }): Part {
    if (end !== "else") return () => "";
    const [word = "", more = ""] = split(rest);
    if (word === "if" || word === "with") return this.#condition(word, more);
    if (word !== "") throw this.#wrong(`unexpected {{else ${rest}}}`);
    return this.block(["end"]).part;
  }

  #range(text: string): Part {
    const [, names, expression = text] = /^((?:\$\w+\s*,\s*)?\$\w+)\s*:=\s*(.*)$/s.exec(text) ?? [];
    const variables = names?.split(",").map((name) => name.trim()) ?? [];
    const value = this.#pipeline(expression);
    const body = this.block(["else", "end"]);
    const otherwise = this.#otherwise(body);
    return (scope) => {
      const entries = entriesOf(value(scope));
      if (entries.length === 0) return otherwise(scope);
      return entries
        .map(([key, item]) => {
          const inner = new Map(scope.variables);
          const [first, second] = variables;
          if (first !== undefined) inner.set(first, second === undefined ? item : key);
          if (second !== undefined) inner.set(second, item);
          return body.part({ dot: item, variables: inner });
        })
        .join("");
    };
  }

  #print(action: string): Part {
    const [, name, expression] = /^(\$\w+)\s*:?=\s*(.*)$/s.exec(action) ?? [];
    if (name === undefined || expression === undefined) {
      const value = this.#pipeline(action);
      return (scope) => show(value(scope));
    }
    const value = this.#pipeline(expression);
    return (scope) => {
      scope.variables.set(name, value(scope));
      return "";
    };
  }

  #pipeline(text: string): Value {
    const words = tokens(text);
    if (words.length === 0) throw this.#wrong("an action is empty");
    const [value, end] = this.#piped(words, 0);
    if (end < words.length) throw this.#wrong(`unexpected words in {{${text}}}`);
    return value;
  }

  /** Commands with "|" between them: each gets what the one before gives as its last argument. */
  #piped(words: readonly Token[], from: number): [Value, number] {
    let [value, at] = this.#command(words, from, undefined);
    while (isSign(words[at], "|")) [value, at] = this.#command(words, at + 1, value);
    return [value, at];
  }

  #command(words: readonly Token[], from: number, piped: Value | undefined): [Value, number] {
    const first = words[from];
    if (first?.kind !== "word") {
      const [value, at] = this.#operand(words, from);
      if (piped !== undefined) throw this.#wrong("what follows | must be a function");
      return [value, at];
    }
    const name = first.name;
    const known = Object.hasOwn(functions, name) ? functions[name] : undefined;
    if (known === undefined) throw this.#wrong(`function "${name}" is not defined`);
    const args: Value[] = [];
    let at = from + 1;
    while (at < words.length && !isSign(words[at], "|") && !isSign(words[at], ")")) {
      const [value, next] = this.#operand(words, at);
      args.push(value);
      at = next;
    }
    const all = piped === undefined ? args : [...args, piped];
    return [(scope) => known(...all.map((value) => value(scope))), at];
  }

  #operand(words: readonly Token[], at: number): [Value, number] {
    const word = words[at];
    switch (word?.kind) {
      case "literal":
        return [() => word.value, at + 1];
      case "field":
        return [(scope) => this.#follow(scope.dot, word.path), at + 1];
      case "variable":
        return [
          (scope) => {
            if (!scope.variables.has(word.name)) throw this.#wrong(`variable "${word.name}" is not defined`);
            return this.#follow(scope.variables.get(word.name), word.path);
          },
          at + 1,
        ];
      case "word":
        return this.#command([word], 0, undefined).map((value, place) => (place === 1 ? at + 1 : value)) as [
          Value,
          number,
        ];
      default: {
        if (!isSign(word, "(")) throw this.#wrong("a value is missing");
        const [value, end] = this.#piped(words, at + 1);
        if (!isSign(words[end], ")")) throw this.#wrong('a ")" is missing');
        const field = words[end + 1];
        if (field?.kind !== "field" || !field.attached) return [value, end + 1];
        return [(scope) => this.#follow(value(scope), field.path), end + 2];
      }
    }
  }

  /** A field that isn't there is an error, as it is with docker; a key of a map of the user's own isn't. */
  #follow(value: unknown, path: readonly string[]): unknown {
    return path.reduce((found, key) => {
      const inner = step(found, key);
      if (inner === undefined && !isOpen(found)) throw this.#wrong(`there is no field "${key}"`);
      return inner;
    }, value);
  }

  #wrong(what: string): Error {
    return invalidArgument(`template "${this.#template}": ${what}`);
  }
}

/** Docker's fields begin with a capital: a map without any is one of labels or the like, in which keys may be missing. */
const isOpen = (value: unknown): boolean =>
  typeof value === "object" && value !== null && !Object.keys(value).some((key) => /^[A-Z]/.test(key));

const isSign = (word: Token | undefined, sign: string): boolean => word?.kind === "sign" && word.sign === sign;

const split = (action: string): string[] => {
  const [, word = "", rest = ""] = /^(\w+)(?:\s+(.*))?$/s.exec(action) ?? [];
  return [word, rest];
};

function entriesOf(value: unknown): [unknown, unknown][] {
  if (Array.isArray(value)) return [...value.entries()];
  if (typeof value === "object" && value !== null) return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  if (typeof value === "number") return Array.from({ length: value }, (_, at) => [at, at]);
  return [];
}
