/**
 * CRI messages as JSON the way that Go's encoder writes their generated types: fields by their names in the protocol
 * (k8s.io/cri-api, api.proto), empty ones left out, 64-bit numbers as numbers, bytes as base64. containerd keeps pods and containers so.
 */

/** Fields whose names don't follow the rule, as here and in the protocol. */
const oddNames: readonly (readonly [string, string])[] = [
  ["uidMappings", "uidMappings"],
  ["gidMappings", "gidMappings"],
  ["CDIDevices", "CDI_devices"],
];
const written = new Map(oddNames);
const read = new Map(oddNames.map(([here, there]) => [there, here]));

/** Fields with 64 bits; texts of the same name, such as a pod's uid, are left alone. */
const wide: ReadonlySet<string> = new Set([
  "cpu_period",
  "cpu_quota",
  "cpu_shares",
  "memory_limit_in_bytes",
  "memory_swap_limit_in_bytes",
  "oom_score_adj",
  "limit",
  "value",
  "uid",
  "gid",
]);
/** Lists of such numbers. */
const wideLists: ReadonlySet<string> = new Set(["supplemental_groups"]);
/** Maps with keys of the user's. */
const maps: ReadonlySet<string> = new Set(["labels", "annotations", "sysctls", "unified"]);

// Known to the runtime, not yet to its types (ECMA-262 proposal "JSON.parse source text access").
const { rawJSON: rawJson } = JSON as JSON & { rawJSON(text: string): unknown };

/** What `JSON.stringify` is to get for a message, or any value with messages in it. */
export function goJson(value: unknown): unknown {
  if (typeof value === "bigint") return rawJson(value.toString());
  if (value instanceof Uint8Array)
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64");
  if (Array.isArray(value)) return value.map(goJson);
  if (typeof value !== "object" || value === null) return value;
  const fields: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(value)) {
    if (isEmpty(field)) continue;
    const key = written.get(name) ?? name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    if (!maps.has(key)) fields[key] = goJson(field);
    else if (Object.keys(field).length > 0) fields[key] = field;
  }
  return fields;
}

/**
 * What the `fromPartial` of a message takes, of JSON as above. `alsoWide` names further fields of 64 bits.
 * @throws SyntaxError for what isn't JSON
 */
export function parseGoJson(text: string, alsoWide: ReadonlySet<string> = new Set()): unknown {
  return camelCased(
    JSON.parse(text, (key, value, context?: { source?: string }) =>
      typeof value === "number" && (wide.has(key) || alsoWide.has(key)) ? BigInt(context?.source ?? value) : value,
    ),
  );
}

function camelCased(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(camelCased);
  if (typeof value !== "object" || value === null) return value;
  const fields: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(value)) {
    const key = read.get(name) ?? name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
    if (maps.has(name)) fields[key] = field;
    else if (wideLists.has(name) && Array.isArray(field)) fields[key] = field.map(BigInt);
    // The one field of bytes: an environment variable's value.
    else if (name === "value" && typeof field === "string") fields[key] = new Uint8Array(Buffer.from(field, "base64"));
    else fields[key] = camelCased(field);
  }
  return fields;
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === "" || value === 0 || value === 0n || value === false || value === null)
    return true;
  if (Array.isArray(value) || value instanceof Uint8Array) return value.length === 0;
  return false;
}
