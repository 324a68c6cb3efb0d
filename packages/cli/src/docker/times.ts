import { parseDuration } from "@hull/engine/plugin/duration";
import { invalidArgument } from "@hull/errors";

/**
 * A time as docker's commands take it: a date, with a time (RFC 3339; this host's zone if it names none), seconds since 1970, or a duration
 * before now (`10m`, `1h30m`).
 * @param flag for the message
 * @throws InvalidArgument
 */
export function parseTime(text: string, flag: string, now = new Date()): Date {
  if (/^\d+(\.\d+)?$/.test(text)) return new Date(Number(text) * 1000);
  if (/^\d{4}-\d\d-\d\d$/.test(text)) return checked(new Date(`${text}T00:00:00`), text, flag);
  if (/^\d{4}-\d\d-\d\dT\d\d(:\d\d){1,2}(\.\d+)?(Z|[+-]\d\d:\d\d)?$/.test(text))
    return checked(new Date(text), text, flag);
  try {
    return new Date(now.getTime() - parseDuration(text));
  } catch {
    throw wrong(text, flag);
  }
}

function checked(time: Date, text: string, flag: string): Date {
  if (Number.isNaN(time.getTime())) throw wrong(text, flag);
  return time;
}

const wrong = (text: string, flag: string): Error =>
  invalidArgument(
    `${flag} takes a time such as 2026-01-02T15:04:05, seconds since 1970, or a duration before now such as 10m, not "${text}"`,
  );
