import { lessIsBetter, median, met, ratio, type Sample } from "./sample.ts";

const round = (figure: number): string =>
  figure >= 100 ? figure.toFixed(0) : figure >= 10 ? figure.toFixed(1) : figure.toFixed(2);

/** A bar for a ratio: one block a tenth, so that 1.0 (as containerd) is ten blocks. */
function bar(value: number): string {
  const blocks = Math.min(30, Math.max(0, Math.round(value * 10)));
  return "█".repeat(Math.min(blocks, 10)) + "▓".repeat(Math.max(0, blocks - 10));
}

/** The samples as a table to read in a terminal. */
export function table(samples: readonly Sample[]): string {
  const header = ["work", "hull", "containerd", "unit", "ratio", "target", ""];
  const rows = samples.map((sample) => {
    const verdict = met(sample);
    const sign = lessIsBetter(sample.unit) ? "≤" : "≥";
    return [
      sample.name,
      round(median(sample.hull)),
      round(median(sample.containerd)),
      sample.unit,
      ratio(sample).toFixed(2),
      sample.target === undefined ? "" : `${sign} ${sample.target.toFixed(2)}${verdict ? " ✓" : " ✗"}`,
      bar(ratio(sample)),
    ];
  });
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? "").length)),
  );
  const line = (cells: readonly string[]): string => {
    const padded = cells.map((cell, column) =>
      column === 0 || column > 4 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    return padded.join("  ").trimEnd();
  };
  return [line(header), ...rows.map(line)].join("\n");
}

/** The samples with their medians and ratios, for a program. */
export function toJson(samples: readonly Sample[], machine: Readonly<Record<string, unknown>>): string {
  const results = samples.map((sample) => ({
    ...sample,
    medians: { hull: median(sample.hull), containerd: median(sample.containerd) },
    ratio: ratio(sample),
    met: met(sample),
  }));
  return `${JSON.stringify({ machine, results }, null, 2)}\n`;
}
