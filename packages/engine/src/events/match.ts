import { isKnownType, typeNameOf, unpackAny } from "@hull/api/typeurl";
import { type Adaptor, compileFilters } from "../metadata/filters/index.ts";
import { parseFilter } from "../metadata/filters/parser.ts";
import type { EventEnvelope } from "./index.ts";

/** What a subscriber wants. */
export interface EventFilter {
  /** True if the payload's own fields are asked for, so that it has to be decoded before `matches`. */
  needsPayload: boolean;
  matches(envelope: EventEnvelope, payload?: unknown): boolean;
}

interface Decoded {
  envelope: EventEnvelope;
  payload: unknown;
}

/**
 * Filters over events: `topic`, `namespace`, and `event.<field path>` with the payload's field names as in its `.proto`.
 * @throws InvalidArgument if one doesn't parse
 */
export function compileEventFilters(filters: readonly string[]): EventFilter {
  const matches = compileFilters(filters, eventAdaptor);
  return {
    needsPayload: filters.some((filter) => parseFilter(filter).some(({ path }) => path[0] === "event")),
    matches: (envelope, payload) => matches({ envelope, payload }),
  };
}

/** The payload's message, undefined if its type is not known or its bytes are not of that type: it has no fields then. */
export async function payloadOf({ event }: EventEnvelope): Promise<unknown> {
  if (!isKnownType(typeNameOf(event.typeUrl))) return undefined;
  try {
    return (await unpackAny(event)).message;
  } catch {
    return undefined;
  }
}

const eventAdaptor: Adaptor<Decoded> = ({ envelope, payload }, [first, ...rest]) => {
  switch (first) {
    case "topic":
      return envelope.topic === "" ? undefined : envelope.topic;
    case "namespace":
      return envelope.namespace === "" ? undefined : envelope.namespace;
    case "event":
      return fieldOf(payload, rest);
  }
  return undefined;
};

/** As containerd's messages: texts that aren't empty, truth values, and what is in maps and messages within; no numbers, no lists. */
function fieldOf(value: unknown, path: readonly string[]): string | undefined {
  const [first, ...rest] = path;
  if (first === undefined) {
    if (typeof value === "string") return value === "" ? undefined : value;
    return typeof value === "boolean" ? String(value) : undefined;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const fields = value as Readonly<Record<string, unknown>>;
  const name = first.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  if (Object.hasOwn(fields, name)) return fieldOf(fields[name], rest);
  // A map's keys are texts with dots of their own.
  const key = path.join(".");
  return Object.hasOwn(fields, key) ? fieldOf(fields[key], []) : undefined;
}
