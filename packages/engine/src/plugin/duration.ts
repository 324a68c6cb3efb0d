import { invalidArgument } from "@hull/errors";

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/**
 * Milliseconds of a duration as Go writes it: signed numbers with units, `1h30m`, `100ms`, `0`.
 * Source: the documentation of Go's `time.ParseDuration`.
 * @throws InvalidArgument
 */
export function parseDuration(text: string): number {
  const match = /^([+-]?)(0|(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/.exec(text);
  if (match === null)
    throw invalidArgument(`"${text}" is not a duration: write a number with a unit, such as "10s" or "1m30s"`);
  let sum = 0;
  for (const [, number, unit] of text.matchAll(/([\d.]+)(ns|us|µs|μs|ms|s|m|h)/g)) {
    sum += Number(number) * (unitMs[unit ?? ""] ?? 0);
  }
  return match[1] === "-" ? -sum : sum;
}
