import { invalidArgument } from "@hull/errors";
import type { Labels } from "../labels.ts";

/** Largest sum of the bytes of a label's key and value. */
export const maxLabelBytes = 4096;

/**
 * Checks the size of each label. `what` begins the text, e.g. `image.Labels`.
 * @throws InvalidArgument
 */
export function validateLabels(labels: Labels, what?: string): void {
  for (const [key, value] of Object.entries(labels)) {
    const length = Buffer.byteLength(key) + Buffer.byteLength(value);
    if (length <= maxLabelBytes) continue;
    const prefix = what === undefined ? "" : `${what}: `;
    throw invalidArgument(
      `${prefix}label key and value length (${length} bytes) greater than maximum size (${maxLabelBytes} bytes), key: ${key.slice(0, 64)}`,
    );
  }
}

/** The labels that are kept: an empty value deletes. */
export function withoutEmpty(labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).filter(([, value]) => value !== ""));
}

/** The map with one key set, or taken away if `value` is undefined. */
export function withKey<V>(map: Readonly<Record<string, V>>, key: string, value: V | undefined): Record<string, V> {
  const rest = Object.entries(map).filter(([candidate]) => candidate !== key);
  return Object.fromEntries(value === undefined ? rest : [...rest, [key, value]]);
}

/** The own value of a key: a key may be any text, also the name of something that every object inherits. */
export function ownValue<V>(map: Readonly<Record<string, V>>, key: string): V | undefined {
  return Object.hasOwn(map, key) ? map[key] : undefined;
}

/**
 * What a map field (`labels`, `annotations`, `extensions`) is after an update by one path of a field mask: `field` replaces it
 * whole, `field.<key>` sets that key (all behind the first dot) or takes it away if `after` has none. Undefined: the path is not of
 * this field.
 */
export function updateMapField<V>(
  field: string,
  path: string,
  before: Readonly<Record<string, V>>,
  after: Readonly<Record<string, V>>,
): Readonly<Record<string, V>> | undefined {
  if (path === field) return after;
  if (!path.startsWith(`${field}.`)) return undefined;
  const key = path.slice(field.length + 1);
  return withKey(before, key, ownValue(after, key));
}

/**
 * The labels of a record that can change nothing else. `fieldpaths` empty or `labels`: all are replaced; `labels.<key>`: only that
 * one. For texts: `thing` is the record (`content info "sha256:…"`), `field` its labels (`info.Labels`).
 * @throws InvalidArgument for any other path, or a label that is too long
 */
export function updateLabels(
  before: Labels,
  after: Labels,
  fieldpaths: readonly string[] = [],
  thing = "the record",
  field?: string,
): Labels {
  const updated = (fieldpaths.length === 0 ? ["labels"] : fieldpaths).reduce<Labels>((labels, path) => {
    const next = updateMapField("labels", path, labels, after);
    if (next === undefined) throw invalidArgument(`cannot update "${path}" field on ${thing}`);
    return next;
  }, before);
  validateLabels(updated, field);
  return withoutEmpty(updated);
}
