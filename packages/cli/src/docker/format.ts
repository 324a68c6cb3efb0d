import { formatAge } from "../command/format.ts";
import { formatColumns } from "../command/index.ts";

/** Rows under a header as docker lays them out. */
export function formatList(rows: readonly (readonly string[])[]): string {
  return `${formatColumns(rows.map((row) => row.join("\t")).join("\n"), { minWidth: 10, padding: 3 })}\n`;
}

/** A size as docker prints it: decimal units, three digits ("7.8MB", "512B"). */
export function formatSize(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value >= 100 ? Math.round(value) : Number(value.toPrecision(3))}${units[unit]}`;
}

/** "5 minutes ago"; empty for a time that isn't known. */
export function formatAgo(at: Date | undefined, now = Date.now()): string {
  return at === undefined ? "" : `${formatAge(Math.max(0, now - at.getTime()))} ago`;
}

/** Cut to so many characters, the last one an ellipsis where something was cut. */
export function ellipsis(text: string, length: number): string {
  const characters = [...text];
  return characters.length <= length ? text : `${characters.slice(0, length - 1).join("")}…`;
}

/** JSON as docker prints it. */
export function formatJson(value: unknown): string {
  return `${JSON.stringify(value, (_, inner) => (typeof inner === "bigint" ? Number(inner) : inner), 4)}\n`;
}
