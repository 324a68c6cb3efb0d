/**
 * The words of a filter: fields, operators, values, quoted texts and separators.
 *
 * What a bare word may hold depends on where it stands: behind an operator it is a value (anything printable but a comma or space),
 * elsewhere a field (letters, digits, underscores). Spaces before a word are skipped; behind a value they are an error of the
 * parser's. The grammar is containerd's (package `filters`).
 */

export type TokenKind = "field" | "value" | "quoted" | "operator" | "separator" | "end" | "illegal" | "other";

/** A word and where it stands, in code points of the filter. */
export interface Token {
  kind: TokenKind;
  text: string;
  position: number;
  /** What is wrong with an illegal one. */
  problem?: string;
}

const space = /^[\s\u0085]$/u;
const fieldCharacter = /^[A-Za-z0-9_]$/;
const valueCharacter = /^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u;
const quotes = '"/|';

export class Scanner {
  readonly characters: readonly string[];
  #position = 0;
  #behindOperator = false;

  constructor(input: string) {
    this.characters = Array.from(input);
  }

  get position(): number {
    return this.#position;
  }

  /** The next character, not consumed; undefined at the end. Spaces count. */
  peek(): string | undefined {
    return this.characters[this.#position];
  }

  /** Consumes the next word. */
  next(): Token {
    let first = this.peek();
    while (first !== undefined && space.test(first)) {
      this.#position++;
      first = this.peek();
    }
    const start = this.#position;
    if (first === undefined) return { kind: "end", text: "", position: start };
    this.#position++;
    const token = (kind: TokenKind): Token => ({
      kind,
      text: this.characters.slice(start, this.#position).join(""),
      position: start,
    });
    if (quotes.includes(first)) {
      const problem = this.#quoted(first);
      return problem === undefined ? token("quoted") : { ...token("illegal"), problem };
    }
    if (first === "," || first === ".") {
      this.#behindOperator = false;
      return token("separator");
    }
    if (isOperator(first)) {
      this.#skip(isOperator);
      this.#behindOperator = true;
      return token("operator");
    }
    if (this.#behindOperator) {
      this.#skip((character) => character !== "," && valueCharacter.test(character));
      this.#behindOperator = false;
      return token("value");
    }
    if (fieldCharacter.test(first)) {
      this.#skip((character) => fieldCharacter.test(character));
      return token("field");
    }
    return token("other");
  }

  #skip(wanted: (character: string) => boolean): void {
    for (let character = this.peek(); character !== undefined && wanted(character); character = this.peek()) {
      this.#position++;
    }
  }

  /** Goes behind the closing quote; gives what is wrong if there is none or an escape is none. */
  #quoted(quote: string): string | undefined {
    for (;;) {
      const character = this.characters[this.#position++];
      if (character === undefined || character === "\n") return "quoted literal not terminated";
      if (character === quote) return undefined;
      if (character === "\\") {
        const problem = this.#escape(quote);
        if (problem !== undefined) return problem;
      }
    }
  }

  #escape(quote: string): string | undefined {
    const kind = this.characters[this.#position++];
    if (kind === undefined) return "illegal escape sequence";
    if (kind === quote || "abfnrtv\\".includes(kind)) return undefined;
    if (/^[0-7]$/.test(kind)) return this.#digits(/^[0-7]$/, 2);
    const hexDigits = { x: 2, u: 4, U: 8 }[kind];
    return hexDigits === undefined ? "illegal escape sequence" : this.#digits(/^[0-9A-Fa-f]$/, hexDigits);
  }

  #digits(digit: RegExp, count: number): string | undefined {
    for (let index = 0; index < count; index++) {
      if (!digit.test(this.characters[this.#position++] ?? "")) return "illegal numeric escape sequence";
    }
    return undefined;
  }
}

function isOperator(character: string): boolean {
  return character === "=" || character === "!" || character === "~";
}

const simpleEscapes: Readonly<Record<string, number>> = { a: 7, b: 8, f: 12, n: 10, r: 13, t: 9, v: 11 };

/**
 * The text that a scanned quoted word stands for. Octal and `\x` escapes are bytes, together read as UTF-8, as in Go.
 * Undefined if an octal escape is beyond a byte.
 */
export function unquote(quoted: string): string | undefined {
  const encoder = new TextEncoder();
  const bytes: number[] = [];
  const inner = quoted.slice(1, -1);
  for (const [part, escaped] of inner.matchAll(/\\([0-7]{3}|x..|u.{4}|U.{8}|.)|[^\\]+/gsu)) {
    if (escaped === undefined) bytes.push(...encoder.encode(part));
    else if (/^[0-7]/.test(escaped)) {
      const byte = Number.parseInt(escaped, 8);
      if (byte > 255) return undefined;
      bytes.push(byte);
    } else if (/^x./.test(escaped)) bytes.push(Number.parseInt(escaped.slice(1), 16));
    else if (/^[uU]./.test(escaped)) {
      const point = Number.parseInt(escaped.slice(1), 16);
      bytes.push(...encoder.encode(point > 0x10ffff ? "\ufffd" : String.fromCodePoint(point)));
    } else bytes.push(...(simpleEscapes[escaped] === undefined ? encoder.encode(escaped) : [simpleEscapes[escaped]]));
  }
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(new Uint8Array(bytes));
}
