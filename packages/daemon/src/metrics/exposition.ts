/** One value of a metric, with the labels that tell it from the metric's others. */
export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number | bigint;
  /** What stands behind the metric's name: `_bucket`, `_sum`, `_count` of a histogram. */
  readonly suffix?: string;
}

/** A metric: everything of one name. */
export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly samples: readonly Sample[];
}

/** The media type of what `writeMetrics` gives. */
export const expositionType = "text/plain; version=0.0.4; charset=utf-8";

/**
 * Metrics in Prometheus' text format 0.0.4, by name; a metric without samples is left out. Numbers and the order of labels are as Go's
 * client writes them. Source: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
 */
export function writeMetrics(metrics: Iterable<Metric>): string {
  const written = [...metrics].filter(({ samples }) => samples.length > 0);
  written.sort((a, b) => (a.name < b.name ? -1 : 1));
  const lines: string[] = [];
  for (const { name, help, type, samples } of written) {
    lines.push(`# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`, `# TYPE ${name} ${type}`);
    for (const { labels, value, suffix = "" } of samples) {
      lines.push(`${name}${suffix}${labelsOf(labels)} ${formatNumber(value)}`);
    }
  }
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

function labelsOf(labels: Sample["labels"]): string {
  // A bucket's bound comes last.
  const names = Object.keys(labels ?? {}).sort((a, b) => (a === "le" ? 1 : b === "le" ? -1 : a < b ? -1 : 1));
  if (labels === undefined || names.length === 0) return "";
  return `{${names.map((name) => `${name}="${escaped(labels[name] ?? "")}"`).join(",")}}`;
}

const escaped = (value: string): string =>
  value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');

/** As Go's shortest `%g`: with an exponent, of at least two digits, below 1e-4 and from 1e6 on. */
export function formatNumber(value: number | bigint): string {
  const number = Number(value);
  if (Number.isNaN(number)) return "NaN";
  if (!Number.isFinite(number)) return number > 0 ? "+Inf" : "-Inf";
  const size = Math.abs(number);
  if (number === 0 || (size >= 1e-4 && size < 1e6)) return String(number);
  const [mantissa = "", exponent = ""] = number.toExponential().split("e");
  const sign = exponent.startsWith("-") ? "-" : "+";
  return `${mantissa}e${sign}${exponent.slice(1).padStart(2, "0")}`;
}
