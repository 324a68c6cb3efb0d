/** `k=v` and `k` (an empty value) as labels; the first "=" divides. */
export function parseLabels(texts: readonly string[]): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const text of texts) {
    const [key = "", ...value] = text.split("=");
    labels[key] = value.length === 0 ? "true" : value.join("=");
  }
  return labels;
}

/** Labels as lists show them: `a=b,c=d` in the order of their keys. */
export function formatLabels(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(",");
}
