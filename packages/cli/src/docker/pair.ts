/** The two sides of `KEY=VALUE`; the value is empty where there is none. */
export function pairOf(text: string): [string, string] {
  const [key = "", ...value] = text.split("=");
  return [key, value.join("=")];
}
