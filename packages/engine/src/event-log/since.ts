import { nanosOfRfc3339 } from "@hull/api/timestamp";
import { invalidArgument } from "@hull/errors";
import type { Since } from "./index.ts";

/** Reads `1234` or `2026-05-17T10:00:00Z`. @throws InvalidArgument */
export function parseSince(text: string): Since {
  if (/^\d{1,15}$/.test(text)) return { after: Number(text) };
  if (/^\d{4}-/.test(text)) return { time: nanosOfRfc3339(text) };
  throw invalidArgument(
    `"${text}" is no place in the event log: give the number of an event, 0 for all that are kept, or a time such as "2026-05-17T10:00:00Z"`,
  );
}
