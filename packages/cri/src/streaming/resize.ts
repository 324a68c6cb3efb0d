import type { Input, TerminalSize } from "./streams.ts";

/** The most that one size may take. */
const maximumSize = 1024;
const maximum = 0xffff;

/** Sizes of a client's terminal: JSON objects one after the other, `{"Width":80,"Height":24}`. Ends with the first that is none. */
export async function* readSizes(input: Input): AsyncGenerator<TerminalSize, void, undefined> {
  let text = "";
  for await (const chunk of input) {
    text += Buffer.from(chunk).toString("latin1");
    for (let end = text.indexOf("}"); end !== -1; end = text.indexOf("}")) {
      const size = parseSize(text.slice(0, end + 1));
      text = text.slice(end + 1);
      if (size === undefined) return;
      // An empty terminal is none.
      if (size.width > 0 && size.height > 0) yield size;
    }
    if (text.length > maximumSize) return;
  }
}

function parseSize(text: string): TerminalSize | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const fields = new Map(Object.entries(value).map(([key, field]) => [key.toLowerCase(), field as unknown]));
  const [width, height] = [fields.get("width") ?? 0, fields.get("height") ?? 0];
  return isSide(width) && isSide(height) ? { width, height } : undefined;
}

const isSide = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= maximum;
