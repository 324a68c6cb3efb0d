import { lessIsBetter, median, met, ratio, type Sample } from "./sample.ts";

/** Figures that aren't of hull and containerd alone. */
export interface Table {
  readonly title: string;
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A figure with three digits or more. */
export const figure = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);

/** A target, and whether it is met. */
export const verdict = (value: number, sign: "≤" | "≥", target: number): string =>
  `${sign} ${target.toFixed(2)} ${(sign === "≤" ? value <= target : value >= target) ? "✓" : "✗"}`;

/** A bar for a ratio: one block a tenth, so that 1.0 (as containerd) is ten blocks. */
function bar(value: number): string {
  const blocks = Math.min(30, Math.max(0, Math.round(value * 10)));
  return "█".repeat(Math.min(blocks, 10)) + "▓".repeat(Math.max(0, blocks - 10));
}

/** The samples as a table to read in a terminal. */
export function table(samples: readonly Sample[]): string {
  const { header, rows } = tableOf(samples);
  return aligned(header, rows, (column) => column === 0 || column > 4);
}

/** The samples as a table, with a bar for each ratio. */
export function tableOf(samples: readonly Sample[]): Table {
  const header = ["work", "hull", "containerd", "unit", "ratio", "target", ""];
  const rows = samples.map((sample) => {
    const verdict = met(sample);
    const sign = lessIsBetter(sample.unit) ? "≤" : "≥";
    return [
      sample.name,
      figure(median(sample.hull)),
      figure(median(sample.containerd)),
      sample.unit,
      ratio(sample).toFixed(2),
      sample.target === undefined ? "" : `${sign} ${sample.target.toFixed(2)}${verdict ? " ✓" : " ✗"}`,
      bar(ratio(sample)),
    ];
  });
  return { title: "hull and containerd, medians", header, rows };
}

/** Another table, under its title. */
export const plainTable = ({ title, header, rows }: Table): string =>
  `${title}\n${aligned(header, rows, (column) => !isOfFigures(rows, column))}`;

const isOfFigures = (rows: Table["rows"], column: number): boolean =>
  rows.every((row) => /^-?[\d.]+$/.test(row[column] ?? ""));

/** The same as Markdown, for the guides. */
export function markdownTable({ title, header, rows }: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const rule = header.map((_, column) => (isOfFigures(rows, column) ? "---:" : "---"));
  return [`${title}:`, "", line(header), line(rule), ...rows.map(line)].join("\n");
}

function aligned(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  left: (column: number) => boolean,
): string {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? "").length)),
  );
  const line = (cells: readonly string[]): string => {
    const padded = cells.map((cell, column) =>
      left(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    return padded.join("  ").trimEnd();
  };
  return [line(header), ...rows.map(line)].join("\n");
}

/** The samples with their medians and ratios, for a program. */
export function toJson(
  samples: readonly Sample[],
  tables: readonly Table[],
  machine: Readonly<Record<string, unknown>>,
): string {
  const results = samples.map((sample) => ({
    ...sample,
    medians: { hull: median(sample.hull), containerd: median(sample.containerd) },
    ratio: ratio(sample),
    met: met(sample),
  }));
  return `${JSON.stringify({ machine, results, tables }, null, 2)}\n`;
}
