import { invalidArgument } from "@hull/errors";

/** How Go prints a value with `%v`, as far as JSON's kinds go: maps as `map[a:1 b:2]`, lists as `[a b]`. */
export function show(value: unknown): string {
  if (value === null || value === undefined) return "<no value>";
  if (Array.isArray(value)) return `[${value.map(show).join(" ")}]`;
  if (typeof value === "object")
    return `map[${Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => `${key}:${show(inner)}`)
      .join(" ")}]`;
  return String(value);
}

/** Go's idea of what is true: neither empty nor zero. */
export function isTrue(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === "object" && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}

export const json = (value: unknown): string =>
  JSON.stringify(value ?? null, (_, inner) => (typeof inner === "bigint" ? Number(inner) : inner));

const text = (value: unknown): string => (typeof value === "string" ? value : show(value));

function compare(a: unknown, b: unknown): number {
  const [x, y] = [typeof a === "bigint" ? Number(a) : a, typeof b === "bigint" ? Number(b) : b];
  if (typeof x === "number" && typeof y === "number") return x - y;
  const [p, q] = [text(x), text(y)];
  return p < q ? -1 : p > q ? 1 : 0;
}

/** One step into a value: a field, a key or a place in a list. */
export function step(value: unknown, key: unknown): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  if (Array.isArray(value)) return value[Number(key)];
  return Object.hasOwn(value, String(key)) ? (value as Record<string, unknown>)[String(key)] : undefined;
}

/** The functions that docker's templates have. */
export const functions: Readonly<Record<string, (...args: readonly unknown[]) => unknown>> = {
  json,
  join: (list, separator) => (Array.isArray(list) ? list.map(text).join(text(separator ?? "")) : text(list)),
  split: (value, separator) => text(value).split(text(separator)),
  lower: (value) => text(value).toLowerCase(),
  upper: (value) => text(value).toUpperCase(),
  title: (value) => text(value).replace(/(^|\s)\S/g, (letter) => letter.toUpperCase()),
  pad: (value, before, after) =>
    text(value) === "" ? "" : " ".repeat(Number(before)) + text(value) + " ".repeat(Number(after)),
  truncate: (value, length) => text(value).slice(0, Number(length)),
  print: (...values) => values.map(text).join(""),
  println: (...values) => `${values.map(text).join(" ")}\n`,
  printf: (format, ...values) => printf(text(format), values),
  len: (value) => (typeof value === "object" && value !== null ? Object.keys(value).length : text(value ?? "").length),
  index: (value, ...keys) => keys.reduce(step, value),
  slice: (value, from, to) =>
    (Array.isArray(value) ? value : text(value)).slice(Number(from ?? 0), to === undefined ? undefined : Number(to)),
  and: (...values) => values.find((value) => !isTrue(value)) ?? values.at(-1),
  or: (...values) => values.find(isTrue) ?? values.at(-1),
  not: (value) => !isTrue(value),
  eq: (value, ...others) => others.some((other) => compare(value, other) === 0),
  ne: (value, other) => compare(value, other) !== 0,
  lt: (value, other) => compare(value, other) < 0,
  le: (value, other) => compare(value, other) <= 0,
  gt: (value, other) => compare(value, other) > 0,
  ge: (value, other) => compare(value, other) >= 0,
};

/** The verbs that are used with docker: %s, %v, %d, %q, %x, %t and %%, with a width. */
function printf(format: string, values: readonly unknown[]): string {
  let at = 0;
  return format.replace(/%(-?\d*)([a-z%])/g, (_, width: string, verb: string) => {
    if (verb === "%") return "%";
    const value = values[at++];
    const shown = verb === "q" ? JSON.stringify(text(value)) : verb === "x" ? Number(value).toString(16) : text(value);
    if (!"svdqxt".includes(verb)) throw invalidArgument(`printf in a template knows no "%${verb}"`);
    return width.startsWith("-") ? shown.padEnd(-Number(width)) : shown.padStart(Number(width || 0));
  });
}
