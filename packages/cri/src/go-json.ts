/**
 * Messages of the CRI as Go's `encoding/json` writes and reads their structs: keys as in the proto file, enums and 64-bit integers as
 * numbers, nothing that is empty. containerd keeps its metadata so, and shows it in the verbose information.
 */

/** Fields that hold maps: their keys are the user's. */
const maps = new Set(["labels", "annotations", "sysctls", "unified", "label_selector", "info"]);

/** Fields of 64 bits, by their names in the file; a "value" is one where it stands alone (Int64Value). */
const wide = new Set([
  "cpu_period",
  "cpu_quota",
  "cpu_shares",
  "limit",
  "memory_limit_in_bytes",
  "memory_swap_limit_in_bytes",
  "oom_score_adj",
  "rootfs_size_in_bytes",
  "supplemental_groups",
]);

/** Names that aren't snake case in the file. */
const odd: Readonly<Record<string, string>> = {
  CDIDevices: "CDI_devices",
  uidMappings: "uidMappings",
  gidMappings: "gidMappings",
};

const oddBack = new Map(Object.entries(odd).map(([property, name]) => [name, property]));

const nameOf = (property: string): string =>
  odd[property] ?? property.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

const propertyOf = (name: string): string =>
  oddBack.get(name) ?? name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** The value that `JSON.stringify` writes as Go would. Integers beyond 2⁵³ lose their last digits. */
export function toGo(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (Array.isArray(value)) return value.map(toGo);
  if (typeof value !== "object" || value === null) return value;
  const fields = Object.entries(value).flatMap(([property, field]): [string, unknown][] => {
    const name = nameOf(property);
    if (isEmpty(field)) return [];
    if (maps.has(name)) return Object.keys(field).length === 0 ? [] : [[name, field]];
    return [[name, toGo(field)]];
  });
  return Object.fromEntries(fields);
}

/** A message that is there without any field is written as `{}`. */
function isEmpty(value: unknown): boolean {
  return (
    value === undefined ||
    value === null ||
    value === "" ||
    value === 0 ||
    value === 0n ||
    value === false ||
    (Array.isArray(value) && value.length === 0) ||
    (value instanceof Uint8Array && value.length === 0)
  );
}

/** The other way: what a message's `fromPartial` takes. Bytes stay in base64; the caller knows where there are some. */
export function fromGo(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromGo);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value);
  const alone = entries.length === 1;
  return Object.fromEntries(
    entries.map(([name, field]): [string, unknown] => {
      if (maps.has(name)) return [name === "label_selector" ? "labelSelector" : name, field];
      if (wide.has(name) || (name === "value" && alone)) return [propertyOf(name), widened(field)];
      return [propertyOf(name), fromGo(field)];
    }),
  );
}

function widened(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(widened);
  return typeof value === "number" && Number.isInteger(value) ? BigInt(value) : value;
}
