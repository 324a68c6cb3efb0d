import { setImmediate } from "node:timers/promises";
import { internal } from "@hull/errors";
import type { Context } from "../context.ts";
import type { Labels, TypedBytes } from "../labels.ts";
import { type Adaptor, compileFilters, labelsAsked, valuesAsked } from "./filters/index.ts";
import type { SqlDatabase, SqlRow, SqlValue } from "./sql.ts";

/** How values stand in columns: see `schema.ts`. A value of another type than its column's means that the file was damaged. */

type Cell = SqlValue | undefined;

export function textOf(cell: Cell): string {
  if (typeof cell === "string") return cell;
  throw damaged("text", cell);
}

export function bigintOf(cell: Cell): bigint {
  if (typeof cell === "bigint") return cell;
  throw damaged("integer", cell);
}

export function labelsOf(cell: Cell): Labels {
  return JSON.parse(textOf(cell)) as Labels;
}

/** A typed value of a type and a bytes column; undefined if there is none. */
export function typedBytesOf(type: Cell, value: Cell): TypedBytes | undefined {
  if (type === null || type === undefined) return undefined;
  return { typeUrl: textOf(type), value: value instanceof Uint8Array ? value : new Uint8Array() };
}

export function extensionsOf(cell: Cell): Readonly<Record<string, TypedBytes>> {
  const stored = JSON.parse(textOf(cell)) as Record<string, [typeUrl: string, base64: string]>;
  return Object.fromEntries(
    Object.entries(stored).map(([key, [typeUrl, value]]) => [key, { typeUrl, value: Buffer.from(value, "base64") }]),
  );
}

export function extensionsCell(extensions: Readonly<Record<string, TypedBytes>>): string {
  const entries = Object.entries(extensions);
  return JSON.stringify(
    Object.fromEntries(
      entries.map(([key, { typeUrl, value }]) => [key, [typeUrl, Buffer.from(value).toString("base64")]]),
    ),
  );
}

function damaged(wanted: string, cell: Cell): Error {
  return internal(`the metadata is damaged: a ${typeof cell} stands where ${wanted} should`);
}

/** Rows per page: a page of the largest records takes about 2 ms. */
const pageSize = 256;

/** Where the records of a store are. */
export interface RecordTable {
  readonly name: string;
  /** The column that tells the records of a namespace apart, and filters' name of it. */
  readonly key: string;
  /** What decoding looks at, the key among it; all columns if left out. */
  readonly columns?: string;
}

/**
 * The records of a namespace that match the filters, in the order of their key. Read in pages between which others get their turn: a
 * record that is there all the while is listed once; one that comes or goes meanwhile may be or not. Filters that name the keys are
 * answered without looking at other records, those that want a label without decoding the records that haven't it.
 * @throws InvalidArgument if a filter doesn't parse
 */
export async function listRecords<T>(
  sql: SqlDatabase,
  ctx: Context,
  { name, key, columns = "*" }: RecordTable,
  decode: (row: SqlRow) => T,
  filters: readonly string[],
  adaptor: Adaptor<T>,
): Promise<T[]> {
  const matches = compileFilters(filters, adaptor);
  const keys = valuesAsked(filters, key);
  if (keys !== undefined && keys.length <= pageSize) {
    return sql
      .prepare(
        `SELECT ${columns} FROM ${name} WHERE namespace = ? AND ${key} IN (SELECT value FROM json_each(?)) ORDER BY ${key}`,
      )
      .all(ctx.namespace, JSON.stringify(keys))
      .map(decode)
      .filter(matches);
  }
  // Labels are JSON: a name stands there as JSON writes it.
  const labels = (labelsAsked(filters) ?? []).map((label) => JSON.stringify(label));
  const labelled = labels.length === 0 ? "" : `AND (${labels.map(() => "instr(labels, ?) > 0").join(" OR ")})`;
  const page = sql.prepare(
    `SELECT ${columns} FROM ${name} WHERE namespace = ? AND ${key} > ? ${labelled} ORDER BY ${key} LIMIT ${pageSize}`,
  );
  const found: T[] = [];
  for (let last = ""; ; ) {
    const rows = page.all(ctx.namespace, last, ...labels);
    for (const row of rows) {
      const record = decode(row);
      if (matches(record)) found.push(record);
    }
    if (rows.length < pageSize) return found;
    last = textOf(rows.at(-1)?.[key]);
    await setImmediate();
    ctx.signal.throwIfAborted();
  }
}
