import type { Figures } from "./figures.ts";

const width = 860;
const rowHeight = 130;
const margin = { left: 70, right: 20, top: 34, bottom: 26 };

const rows = [
  { title: "daemon: RSS, MiB", value: ({ daemonRss }: Figures) => daemonRss },
  { title: "daemon: open descriptors", value: ({ daemonDescriptors }: Figures) => daemonDescriptors },
  { title: "largest shim: RSS, MiB", value: ({ shimRss }: Figures) => shimRss },
  { title: "shims", value: ({ shims }: Figures) => shims },
];

/** Figures over time, one row for each kind, as an SVG document. */
export function plot(figures: readonly Figures[]): string {
  const end = Math.max(1, ...figures.map(({ at }) => at));
  const height = rows.length * (rowHeight + margin.top) + margin.bottom + 20;
  const x = (at: number): number => margin.left + (at / end) * (width - margin.left - margin.right);
  const parts = rows.map(({ title, value }, row) => {
    const values = figures.map(value);
    const top = Math.max(1, ...values) * 1.1;
    const base = margin.top + row * (rowHeight + margin.top) + rowHeight;
    const y = (amount: number): number => base - (amount / top) * rowHeight;
    const points = figures.map((entry) => `${x(entry.at).toFixed(1)},${y(value(entry)).toFixed(1)}`).join(" ");
    const marks = [0, 0.5, 1].map((part) => {
      const amount = (top / 1.1) * part;
      const at = y(amount).toFixed(1);
      return `<line x1="${margin.left}" x2="${width - margin.right}" y1="${at}" y2="${at}" stroke="#ddd"/>
<text x="${margin.left - 8}" y="${at}" text-anchor="end" dominant-baseline="middle">${Math.round(amount)}</text>`;
    });
    return `<text x="${margin.left}" y="${base - rowHeight - 10}" font-weight="bold">${title}</text>
${marks.join("\n")}
<polyline points="${points}" fill="none" stroke="#2563eb" stroke-width="1.5"/>`;
  });
  const lives = figures.at(-1)?.lives ?? 0;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="12">
<title>Memory, descriptors and time of containers' lives over a soak</title>
<rect width="100%" height="100%" fill="white"/>
${parts.join("\n")}
<text x="${width / 2}" y="${height - 10}" text-anchor="middle">seconds 0 to ${end.toFixed(0)}, ${lives} lives of containers</text>
</svg>
`;
}
