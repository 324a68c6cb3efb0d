import { invalidArgument } from "@hull/errors";

/** A piece of a template: text as it is, or what stands between `{{` and `}}`. */
export type Piece = { readonly text: string } | { readonly action: string };

/** Divides a template. A dash inside the braces takes the blanks beside them away. @throws InvalidArgument for braces that don't close */
export function pieces(template: string): Piece[] {
  const found: Piece[] = [];
  let rest = template;
  let trimNext = false;
  for (;;) {
    const open = rest.indexOf("{{");
    let text = open < 0 ? rest : rest.slice(0, open);
    if (trimNext) text = text.trimStart();
    if (open < 0) {
      if (text !== "") found.push({ text });
      return found;
    }
    const trimBefore = /^-\s/.test(rest.slice(open + 2));
    if (trimBefore) text = text.trimEnd();
    if (text !== "") found.push({ text });
    const close = endOf(rest, open + 2);
    if (close < 0) throw invalidArgument(`template "${template}" has an action that isn't closed: "{{" without "}}"`);
    let action = rest.slice(open + 2 + (trimBefore ? 1 : 0), close);
    trimNext = /\s-$/.test(action);
    if (trimNext) action = action.slice(0, -1);
    rest = rest.slice(close + 2);
    if (!/^\s*\/\*[\s\S]*\*\/\s*$/.test(action)) found.push({ action: action.trim() });
  }
}

/** Where the braces close, texts in quotes aside. */
function endOf(text: string, from: number): number {
  let quote = "";
  for (let at = from; at < text.length; at++) {
    const character = text[at] ?? "";
    if (quote !== "") {
      if (character === "\\" && quote === '"') at++;
      else if (character === quote) quote = "";
    } else if (character === '"' || character === "`") quote = character;
    else if (text.startsWith("}}", at)) return at;
  }
  return -1;
}

export type Token =
  /** `attached`: nothing stands between it and what is before. */
  | { readonly kind: "field"; readonly path: readonly string[]; readonly attached: boolean }
  | { readonly kind: "variable"; readonly name: string; readonly path: readonly string[] }
  | { readonly kind: "literal"; readonly value: unknown }
  | { readonly kind: "word"; readonly name: string }
  | { readonly kind: "sign"; readonly sign: "(" | ")" | "|" | ":=" | "=" | "," };

const pattern =
  /\s*(?:("(?:[^"\\]|\\.)*")|(`[^`]*`)|(-?\d+(?:\.\d+)?)|(\$\w*)((?:\.\w+)*)|((?:\.\w+)+|\.)|(\w+)|(:=|[()|=,]))/y;

/** The words of an action. @throws InvalidArgument */
export function tokens(action: string): Token[] {
  const found: Token[] = [];
  pattern.lastIndex = 0;
  let at = 0;
  while (action.slice(at).trim() !== "") {
    pattern.lastIndex = at;
    const match = pattern.exec(action);
    if (match === null)
      throw invalidArgument(`template action "{{${action}}}": unexpected "${action.slice(at).trim()}"`);
    at = pattern.lastIndex;
    const [, quoted, raw, number, variable, variablePath = "", field, word, sign] = match;
    if (quoted !== undefined) found.push({ kind: "literal", value: unquote(quoted, action) });
    else if (raw !== undefined) found.push({ kind: "literal", value: raw.slice(1, -1) });
    else if (number !== undefined) found.push({ kind: "literal", value: Number(number) });
    else if (variable !== undefined)
      found.push({ kind: "variable", name: variable, path: variablePath.split(".").filter(Boolean) });
    else if (field !== undefined)
      found.push({ kind: "field", path: field.split(".").filter(Boolean), attached: !/^\s/.test(match[0]) });
    else if (word === "true" || word === "false") found.push({ kind: "literal", value: word === "true" });
    else if (word === "nil") found.push({ kind: "literal", value: null });
    else if (word !== undefined) found.push({ kind: "word", name: word });
    else found.push({ kind: "sign", sign: sign as "(" });
  }
  return found;
}

function unquote(text: string, action: string): string {
  try {
    return JSON.parse(text) as string;
  } catch (cause) {
    throw invalidArgument(`template action "{{${action}}}": ${text} is not a text`, { cause });
  }
}
