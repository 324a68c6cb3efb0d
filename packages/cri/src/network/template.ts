/**
 * `conf_template`: the parts of Go's text/template that containerd's documentation of it uses (docs/cri/config.md, "CNI Config Template").
 *
 *   {{.PodCIDR}}   {{range $i, $r := .PodCIDRRanges}}{{if $i}}, {{end}}{{$r}}{{else}}…{{end}}   {{range .Routes}}{{.}}{{end}}
 *
 * and comments. Blanks are cut by `{{-` and `-}}`. Anything else is refused by name rather than rendered wrongly.
 */

import { invalidArgument } from "@hull/errors";

/** What a template may use. */
export interface TemplateValues {
  readonly PodCIDR: string;
  readonly PodCIDRRanges: readonly string[];
  readonly Routes: readonly string[];
}

type Value = string | number | readonly string[] | TemplateValues;

type Node =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "value"; readonly path: string }
  | {
      readonly kind: "range" | "if";
      readonly path: string;
      readonly names: readonly string[];
      readonly body: readonly Node[];
      readonly otherwise: readonly Node[];
    };

/** @throws InvalidArgument naming what isn't known */
export function renderTemplate(template: string, values: TemplateValues): string {
  const parser = new Parser(tokensOf(template));
  return render(parser.all(), values, new Map());
}

interface Token {
  readonly text: string;
  readonly isAction: boolean;
}

function tokensOf(template: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let trimNext = false;
  const text = (upTo: number, trim: boolean): void => {
    let part = template.slice(at, upTo);
    if (trimNext) part = part.trimStart();
    if (trim) part = part.trimEnd();
    if (part !== "") tokens.push({ text: part, isAction: false });
  };
  for (const match of template.matchAll(/\{\{(-\s)?\s*(\/\*.*?\*\/|.*?)\s*(\s-)?\}\}/gs)) {
    const [whole, before, action = "", after] = match;
    text(match.index, before !== undefined);
    if (!action.startsWith("/*")) tokens.push({ text: action, isAction: true });
    at = match.index + whole.length;
    trimNext = after !== undefined;
  }
  text(template.length, false);
  if (tokens.some((token) => !token.isAction && token.text.includes("{{"))) throw invalidArgument('"{{" is not closed');
  return tokens;
}

const name = String.raw`\$[A-Za-z_]\w*`;
const path = String.raw`(?:\.[A-Za-z]\w*|\.|${name})`;
const rangePattern = new RegExp(`^range\\s+(?:(${name})\\s*(?:,\\s*(${name})\\s*)?:=\\s*)?(${path})$`);
const ifPattern = new RegExp(`^if\\s+(${path})$`);
const valuePattern = new RegExp(`^(${path})$`);

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  all(): Node[] {
    const nodes = this.#nodes();
    const [extra] = this.#tokens.slice(this.#at);
    if (extra !== undefined) throw invalidArgument(`"{{${extra.text}}}" without a beginning`);
    return nodes;
  }

  /** Up to an `end` or `else`, which is left. */
  #nodes(): Node[] {
    const nodes: Node[] = [];
    for (;;) {
      const token = this.#tokens[this.#at];
      if (token === undefined || (token.isAction && (token.text === "end" || token.text === "else"))) return nodes;
      this.#at++;
      nodes.push(token.isAction ? this.#action(token.text) : { kind: "text", text: token.text });
    }
  }

  #action(text: string): Node {
    const [, only] = valuePattern.exec(text) ?? [];
    if (only !== undefined) return { kind: "value", path: only };
    const [, condition] = ifPattern.exec(text) ?? [];
    if (condition !== undefined) return this.#block("if", condition, [], text);
    const [, first, second, list] = rangePattern.exec(text) ?? [];
    if (list === undefined)
      throw invalidArgument(
        `"{{${text}}}" is not supported: use .PodCIDR, range over .PodCIDRRanges or .Routes, if, else and end`,
      );
    // With one variable it is the element's.
    const names = first === undefined ? [] : second === undefined ? ["", first] : [first, second];
    return this.#block("range", list, names, text);
  }

  #block(kind: "range" | "if", path: string, names: readonly string[], text: string): Node {
    const body = this.#nodes();
    const hasElse = this.#tokens[this.#at]?.text === "else";
    if (hasElse) this.#at++;
    const otherwise = hasElse ? this.#nodes() : [];
    if (this.#tokens[this.#at]?.text !== "end") throw invalidArgument(`"{{${text}}}" has no "{{end}}"`);
    this.#at++;
    return { kind, path, names, body, otherwise };
  }
}

function render(nodes: readonly Node[], dot: Value, variables: ReadonlyMap<string, Value>): string {
  return nodes
    .map((node) => {
      if (node.kind === "text") return node.text;
      const value = lookedUp(node.path, dot, variables);
      if (node.kind === "value") return shown(value, node.path);
      if (node.kind === "if") return render(isTrue(value) ? node.body : node.otherwise, dot, variables);
      if (!isList(value)) throw invalidArgument(`range can't iterate over "${node.path}": it is no list`);
      if (value.length === 0) return render(node.otherwise, dot, variables);
      const [index = "", element = ""] = node.names;
      return value
        .map((item, at) =>
          render(node.body, item, new Map<string, Value>([...variables, [index, at], [element, item]])),
        )
        .join("");
    })
    .join("");
}

const isList = (value: Value): value is readonly string[] => Array.isArray(value);

const isTrue = (value: Value): boolean => (typeof value === "string" || isList(value) ? value.length > 0 : value !== 0);

/** As Go prints lists: `[a b]`. */
function shown(value: Value, path: string): string {
  if (isList(value)) return `[${value.join(" ")}]`;
  if (typeof value === "object") throw invalidArgument(`"{{${path}}}" is all values together: name one`);
  return String(value);
}

function lookedUp(path: string, dot: Value, variables: ReadonlyMap<string, Value>): Value {
  if (path === ".") return dot;
  if (path.startsWith("$")) {
    const value = variables.get(path);
    if (value === undefined) throw invalidArgument(`undefined variable "${path}"`);
    return value;
  }
  const field = path.slice(1);
  if (typeof dot === "object" && !isList(dot) && Object.hasOwn(dot, field)) return dot[field as keyof TemplateValues];
  throw invalidArgument(`can't evaluate field "${field}": there are PodCIDR, PodCIDRRanges and Routes`);
}
