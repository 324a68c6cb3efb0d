import type { LogPlace } from "./place.ts";
import { type ReadLogOptions, readLog } from "./read.ts";

/** What a container printed, and when. */
export interface LogEntry {
  readonly output: "stdout" | "stderr";
  /** As it is in the log, RFC 3339 to the nanosecond; undefined where the log has none. */
  readonly time: string | undefined;
  /** Bytes, one a character (latin1), without a line's end. */
  readonly text: string;
  /** False for a part of a line that goes on, or was never ended. */
  readonly whole: boolean;
}

const line = /^(\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)) (stdout|stderr) ([FP])(?::\S*)? (.*)$/s;

/**
 * Reads the form of the CRI's log files, `<time> <stdout|stderr> <F|P> <text>` (Kubernetes' design "Redesign container logging"), which hull's
 * logs with times have, too. A line of another form is one that was printed on stdout.
 */
export class LogEntries {
  readonly #entryOf: (line: string) => LogEntry;
  /** What came behind the last line's end. */
  #rest = "";

  /** @param times false for a log without: a line is what it says */
  constructor({ times = true }: { times?: boolean } = {}) {
    this.#entryOf = times ? entryOf : printed;
  }

  /** @returns those that are complete with this chunk */
  take(bytes: Uint8Array): LogEntry[] {
    const text = this.#rest + latin1(bytes);
    const end = text.lastIndexOf("\n") + 1;
    this.#rest = text.slice(end);
    return end === 0
      ? []
      : text
          .slice(0, end - 1)
          .split("\n")
          .map(this.#entryOf);
  }

  /** Nothing more comes. @returns what had no line end */
  end(): LogEntry[] {
    const rest = this.#rest;
    this.#rest = "";
    return rest === "" ? [] : [{ ...this.#entryOf(rest), whole: false }];
  }
}

function entryOf(text: string): LogEntry {
  const [, time, output, tag, written] = line.exec(text) ?? [];
  if (written === undefined) return printed(text);
  return { output: output === "stderr" ? "stderr" : "stdout", time, text: written, whole: tag === "F" };
}

const printed = (text: string): LogEntry => ({ output: "stdout", time: undefined, text, whole: true });

const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");

/** Milliseconds since 1970 of an entry's time. */
export const millisOf = (time: string): number => Date.parse(time);

export interface ReadEntriesOptions extends ReadLogOptions {
  /** Of the lines that `tail` leaves, those that came then or later. */
  readonly since?: Date | undefined;
  /** Those that came before; with `follow` the reading ends then. */
  readonly until?: Date | undefined;
}

/** The lines of a log, as many at a time as were read together. Lines without a time are in no one's way: they come whatever `since` says. */
export async function* readEntries(
  place: LogPlace,
  { since, until, signal, ...options }: ReadEntriesOptions = {},
): AsyncGenerator<readonly LogEntry[], void, undefined> {
  const [first, last] = [since?.getTime() ?? Number.NEGATIVE_INFINITY, until?.getTime() ?? Number.POSITIVE_INFINITY];
  const bounded = since !== undefined || until !== undefined;
  const entries = new LogEntries(place);
  const inTime = ({ time }: LogEntry): boolean => {
    const at = time === undefined ? Number.NaN : millisOf(time);
    return !(at < first || at >= last);
  };
  const timely = (read: LogEntry[]): LogEntry[] => (bounded ? read.filter(inTime) : read);
  const stop = new AbortController();
  const end = (): void => stop.abort();
  signal?.addEventListener("abort", end, { once: true });
  if (signal?.aborted) end();
  const timer =
    until === undefined ? undefined : setTimeout(end, Math.max(0, Math.min(last - Date.now(), longestTimer)));
  try {
    for await (const chunk of readLog(place, { ...options, signal: stop.signal })) {
      const read = timely(entries.take(chunk));
      if (read.length > 0) yield read;
    }
    const rest = timely(entries.end());
    if (rest.length > 0) yield rest;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", end);
  }
}

/** The longest that timers can be set to, ms. */
const longestTimer = 2 ** 31 - 1;
