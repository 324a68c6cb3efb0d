import { type Finding, type Status, statuses } from "./finding.ts";
import type { Area } from "./index.ts";

/** How many findings there are of each status. */
export function countsOf(areas: readonly Area[]): Record<Status, number> {
  const all = areas.flatMap(({ findings }) => findings);
  const count = (wanted: Status): number => all.filter(({ status }) => status === wanted).length;
  return { ok: count("ok"), warn: count("warn"), fail: count("fail") };
}

/** For people: a line for each finding, and how to mend it below. `quiet`: without what is well. */
export function reportText(areas: readonly Area[], { quiet }: { quiet: boolean }): string {
  const shown = areas
    .map(({ name, findings }) => ({ name, findings: findings.filter(({ status }) => !quiet || status !== "ok") }))
    .filter(({ findings }) => findings.length > 0);
  const width = Math.max(0, ...shown.flatMap(({ findings }) => findings.map(({ name }) => name.length)));
  const blocks = shown.map(({ name, findings }) => `${name}\n${findings.map((each) => lineOf(each, width)).join("")}`);
  return `${[...blocks, summary(countsOf(areas))].join("\n")}\n`;
}

const statusWidth = Math.max(...statuses.map(({ length }) => length));

function lineOf({ name, status, detail, fix }: Finding, width: number): string {
  const line = `  ${status.padEnd(statusWidth)}  ${name.padEnd(width)}  ${detail}\n`;
  return fix === undefined ? line : `${line}${" ".repeat(statusWidth + width + 6)}→ ${fix}\n`;
}

function summary({ ok, warn, fail }: Record<Status, number>): string {
  const verdict =
    fail > 0 ? "this host can't be a node yet" : warn > 0 ? "this host can be a node" : "this host is ready";
  return `${ok} ok, ${warn} to consider, ${fail} to mend: ${verdict}`;
}

/** For programs: `{ ok, summary, areas }`. */
export function reportJson(areas: readonly Area[]): string {
  const summary = countsOf(areas);
  return `${JSON.stringify({ ok: summary.fail === 0, summary, areas }, null, 2)}\n`;
}
