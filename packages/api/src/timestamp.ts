import { invalidArgument } from "@hull/errors";

/**
 * Times on the wire.
 *
 * A time is a `google.protobuf.Timestamp`. Inside hull it is nanoseconds since 1970 as a bigint, undefined if there is none.
 * containerd sends a Go time that was never set as the first second of the year 1, and its clients print a missing field as
 * 1970: so "none" goes out as the year 1, and the year 1 comes in as "none".
 */

/** The shape of the generated `google.protobuf.Timestamp`. */
export interface Timestamp {
  /** Whole seconds since 1970, may be negative. */
  seconds: bigint;
  /** 0 to 999,999,999, counted forwards also before 1970. */
  nanos: number;
}

const perSecond = 1_000_000_000n;
const zeroSeconds = -62_135_596_800n;

/** Go's zero time, 0001-01-01T00:00:00Z; a new object each time, since messages are mutable. */
export function zeroTime(): Timestamp {
  return { seconds: zeroSeconds, nanos: 0 };
}

/** True if there is no time in it: no timestamp, or Go's zero time. */
export function isZeroTime(timestamp: Timestamp | undefined): boolean {
  return timestamp === undefined || (timestamp.seconds === zeroSeconds && timestamp.nanos === 0);
}

/** The timestamp of nanoseconds since 1970; undefined gives the zero time. */
export function timestampOfNanos(nanos: bigint | undefined): Timestamp {
  if (nanos === undefined) return zeroTime();
  const rest = ((nanos % perSecond) + perSecond) % perSecond;
  return { seconds: (nanos - rest) / perSecond, nanos: Number(rest) };
}

/** Nanoseconds since 1970, undefined for a missing or zero time. */
export function nanosOfTimestamp(timestamp: Timestamp | undefined): bigint | undefined {
  if (timestamp === undefined || isZeroTime(timestamp)) return undefined;
  return timestamp.seconds * perSecond + BigInt(timestamp.nanos);
}

/** The timestamp of a Date (milliseconds); undefined gives the zero time. */
export function timestampOfDate(date: Date | undefined): Timestamp {
  return timestampOfNanos(date === undefined ? undefined : BigInt(date.getTime()) * 1_000_000n);
}

/** A Date, cut to milliseconds; undefined for a missing or zero time. */
export function dateOfTimestamp(timestamp: Timestamp | undefined): Date | undefined {
  if (timestamp === undefined || isZeroTime(timestamp)) return undefined;
  return new Date(Number(timestamp.seconds) * 1000 + Math.floor(timestamp.nanos / 1_000_000));
}

/** Now, as exact as the clock of the runtime is. */
export function nowNanos(): bigint {
  // timeOrigin and now() are fractions of milliseconds; the sum of both keeps microseconds in a double until the year 2255.
  return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;
}

/**
 * The time as Go's RFC3339Nano writes it in UTC: as many digits of the fraction as are needed, `2026-01-02T03:04:05.06Z`.
 *
 * @throws InvalidArgument outside the years 1 to 9999.
 */
export function rfc3339OfNanos(nanos: bigint): string {
  const { seconds, nanos: rest } = timestampOfNanos(nanos);
  if (seconds < zeroSeconds || seconds > 253_402_300_799n) {
    throw invalidArgument(`time "${nanos}" ns since 1970 is not in the years 1 to 9999, which RFC 3339 can write`);
  }
  const whole = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  const fraction = rest === 0 ? "" : `.${String(rest).padStart(9, "0").replace(/0+$/, "")}`;
  return `${whole}${fraction}Z`;
}

const rfc3339 = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)$/;

/**
 * Nanoseconds since 1970 of an RFC 3339 time with any offset; digits beyond nanoseconds are cut.
 *
 * @throws InvalidArgument for any other text.
 */
export function nanosOfRfc3339(text: string): bigint {
  const [, date = "", time = "", fraction = "", offset = ""] = rfc3339.exec(text) ?? [];
  const milliseconds = Date.parse(`${date}T${time}${offset.toUpperCase()}`);
  const day = Date.parse(`${date}T00:00:00Z`);
  // Date.parse rolls 30 February over into March; only a day that comes back as it was is one.
  if (Number.isNaN(milliseconds) || Number.isNaN(day) || new Date(day).toISOString().slice(0, 10) !== date) {
    throw invalidArgument(`time "${text}" is not of the form 2006-01-02T15:04:05.999999999Z (RFC 3339)`);
  }
  return BigInt(milliseconds) * 1_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, "0"));
}
