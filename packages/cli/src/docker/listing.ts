import type { Host } from "../command/index.ts";
import { compileTemplate } from "../template/index.ts";
import { formatList } from "./format.ts";

/** One thing of a list: the fields that docker's `--format` knows, by their names. */
export type Row = Readonly<Record<string, string>>;

/** A column of the default table: its heading and its field. */
export type Column = readonly [heading: string, field: string];

/**
 * Prints a list as `--format` says: a table of `columns` without one, `json` a line of JSON for each, `table TEMPLATE` a table of a
 * template's columns, which tabs divide, and any other template a line for each. @throws InvalidArgument
 */
export async function printRows(
  host: Host,
  rows: readonly Row[],
  {
    format,
    columns,
    headings = columns,
  }: { format: string | undefined; columns: readonly Column[]; headings?: readonly Column[] },
): Promise<void> {
  if (format === undefined || format === "" || format === "table") {
    const cells = rows.map((row) => columns.map(([, field]) => row[field] ?? ""));
    await host.out(formatList([columns.map(([heading]) => heading), ...cells]));
  } else if (format === "json" || format === "{{json .}}") {
    await host.out(rows.map((row) => `${JSON.stringify(sortedRow(row))}\n`).join(""));
  } else {
    const table = /^table\s+(.*)$/s.exec(format)?.[1];
    const template = compileTemplate(unescaped(table ?? format));
    const lines = rows.map((row) => template(row));
    if (table === undefined) await host.out(lines.map((line) => `${line}\n`).join(""));
    else {
      const names = Object.fromEntries(headings.map(([heading, field]) => [field, heading]));
      const known = Object.fromEntries(Object.keys(rows[0] ?? names).map((field) => [field, field.toUpperCase()]));
      const heading = template({ ...known, ...names });
      await host.out(formatList([heading, ...lines].map((line) => line.split("\t"))));
    }
  }
}

const sortedRow = (row: Row): Row => Object.fromEntries(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1)));

/** Shells give `\t` as it is written. */
const unescaped = (template: string): string => template.replaceAll("\\t", "\t").replaceAll("\\n", "\n");
