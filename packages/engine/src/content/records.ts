import { invalidArgument, unimplemented } from "@hull/errors";
import type { Labels } from "../labels.ts";

export type Adaptor<T> = (record: T, path: readonly string[]) => string | undefined;

export function compileFilters<T>(filters: readonly string[], _adaptor: Adaptor<T>): (record: T) => boolean {
  if (filters.length > 0) throw unimplemented("filters");
  return () => true;
}

export function validateLabels(labels: Labels): void {
  for (const [key, value] of Object.entries(labels)) {
    if (Buffer.byteLength(key) + Buffer.byteLength(value) > 4096) throw invalidArgument(`label "${key}" is too long`);
  }
}

export function updateLabels(before: Labels, labels: Labels, fieldpaths: readonly string[]): Labels {
  validateLabels(labels);
  if (fieldpaths.length === 0 || fieldpaths.includes("labels")) return labels;
  const result: Record<string, string> = { ...before };
  for (const path of fieldpaths) {
    if (!path.startsWith("labels.")) throw invalidArgument(`cannot update "${path}"`);
    const key = path.slice(7);
    const value = labels[key] ?? "";
    if (value === "") delete result[key];
    else result[key] = value;
  }
  return result;
}
