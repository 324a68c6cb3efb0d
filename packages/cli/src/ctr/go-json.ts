import { rfc3339OfNanos, type Timestamp } from "@hull/api/timestamp";

/** Fields of messages that are maps: their keys are a user's, and are written in order. */
const maps: ReadonlySet<string> = new Set(["labels", "annotations", "Labels"]);

/**
 * JSON as Go's encoding/json writes it: 64-bit numbers in full, bytes as base64, `<`, `>` and `&` escaped. `indent` is what a level
 * is indented by; none gives one line.
 */
export function goJson(value: unknown, indent = "", level = 0): string {
  const lines = (open: string, items: readonly string[], close: string): string => {
    if (items.length === 0) return open + close;
    if (indent === "") return `${open}${items.join(",")}${close}`;
    const inner = `\n${indent.repeat(level + 1)}`;
    return `${open}${inner}${items.join(`,${inner}`)}\n${indent.repeat(level)}${close}`;
  };
  if (value === null || value === undefined) return "null";
  if (typeof value === "bigint") return String(value);
  if (value instanceof Uint8Array) return quote(Buffer.from(value).toString("base64"));
  if (Array.isArray(value)) {
    return lines(
      "[",
      value.map((item) => goJson(item, indent, level + 1)),
      "]",
    );
  }
  if (typeof value === "object") {
    const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
    const colon = indent === "" ? ":" : ": ";
    return lines(
      "{",
      entries.map(([key, inner]) => `${quote(key)}${colon}${goJson(inner, indent, level + 1)}`),
      "}",
    );
  }
  return typeof value === "string" ? quote(value) : JSON.stringify(value);
}

function quote(text: string): string {
  return JSON.stringify(text).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * A message as containerd's Go types are written to JSON: names as in the `.proto` file, what is at its default left out, times as
 * RFC 3339.
 */
export function messageToGo(message: unknown): unknown {
  if (Array.isArray(message)) return message.map(messageToGo);
  if (isTimestamp(message)) return rfc3339OfNanos(message.seconds * 1_000_000_000n + BigInt(message.nanos));
  if (typeof message !== "object" || message === null || message instanceof Uint8Array) return message;
  const fields: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(message)) {
    if (isEmpty(value)) continue;
    const key = name.replace(/[A-Z]/g, (capital) => `_${capital.toLowerCase()}`);
    fields[key] = maps.has(name) ? sorted(value as Record<string, string>) : messageToGo(value);
  }
  return fields;
}

/** A map with its keys in order, as Go writes maps. */
export function sorted<T>(map: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}

function isTimestamp(value: unknown): value is Timestamp {
  return typeof value === "object" && value !== null && "seconds" in value && "nanos" in value;
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === "" || value === 0 || value === 0n || value === false) return true;
  if (Array.isArray(value) || value instanceof Uint8Array) return value.length === 0;
  return typeof value === "object" && value !== null && Object.keys(value).length === 0 && !isTimestamp(value);
}
