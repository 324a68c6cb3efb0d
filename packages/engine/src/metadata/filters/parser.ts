import { type HullError, invalidArgument } from "@hull/errors";
import { Scanner, type Token, unquote } from "./scanner.ts";

/** One condition on a record. Without an operator: the field is there. */
export interface Selector {
  path: readonly string[];
  operator: "present" | "==" | "!=" | "~=";
  value: string;
}

/**
 * Parses one filter into the selectors that must all match. An empty filter has none.
 *
 *   filter   := selector ("," selector)*
 *   selector := field ("." field)* [("==" | "!=" | "~=") value]
 *   field    := word | quoted          value := word | quoted
 *
 * `"…"` quotes with Go's escapes; `/…/` and `|…|` also quote, behind `~=` only.
 * @throws InvalidArgument with containerd's text: the filter with the spot between `>|` and `|<`, and what was expected there
 */
export function parseFilter(filter: string): Selector[] {
  if (filter === "") return [];
  const scanner = new Scanner(filter);
  const selectors = [parseSelector(scanner)];
  for (let next = scanner.peek(); next !== undefined; next = scanner.peek()) {
    if (next !== ",") throw parseError(scanner, scanner.position, `unexpected input: ${next}`);
    scanner.next();
    selectors.push(parseSelector(scanner));
  }
  return selectors;
}

function parseSelector(scanner: Scanner): Selector {
  const path = [parseField(scanner)];
  while (scanner.peek() === ".") {
    scanner.next();
    path.push(parseField(scanner));
  }
  const next = scanner.peek();
  if (next === undefined || next === ",") return { path, operator: "present", value: "" };
  const operator = parseOperator(scanner);
  return { path, operator, value: parseValue(scanner, operator === "~=") };
}

function parseField(scanner: Scanner): string {
  const token = scanner.next();
  if (token.kind === "field") return token.text;
  if (token.kind === "quoted") return parseQuoted(scanner, token, false);
  throw parseError(scanner, token.position, token.problem ?? "expected field or quoted");
}

function parseOperator(scanner: Scanner): "==" | "!=" | "~=" {
  const { kind, text, position, problem } = scanner.next();
  if (kind !== "operator") throw parseError(scanner, position, problem ?? 'expected an operator ("=="|"!="|"~=")');
  if (text === "==" || text === "!=" || text === "~=") return text;
  throw parseError(scanner, position, `unsupported operator "${text}"`);
}

function parseValue(scanner: Scanner, isPattern: boolean): string {
  const token = scanner.next();
  if (token.kind === "value" || token.kind === "field") return token.text;
  if (token.kind === "quoted") return parseQuoted(scanner, token, isPattern);
  throw parseError(scanner, token.position, token.problem ?? "expected value or quoted");
}

function parseQuoted(scanner: Scanner, { text, position }: Token, isPattern: boolean): string {
  if (!isPattern && !text.startsWith('"')) throw parseError(scanner, position, "invalid quote encountered");
  const value = unquote(text);
  if (value === undefined) throw parseError(scanner, position, "unquoting failed: quote syntax error");
  return value;
}

function parseError({ characters }: Scanner, position: number, message: string): HullError {
  const [before, spot, after] = [
    characters.slice(0, position).join(""),
    characters[position],
    characters.slice(position + 1).join(""),
  ];
  const where = spot === undefined ? `[${before}]` : `[${before} >|${spot}|< ${after}]`;
  return invalidArgument(`filters: parse error: ${where}: ${message}`);
}
