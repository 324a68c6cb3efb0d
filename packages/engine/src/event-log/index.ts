import type { EventEnvelope } from "../events/index.ts";

/**
 * The event log: the last events on disk, for subscribers that were away.
 *
 *   publish ──► numbered, in the file before the next thing happens ──► … dropped with its segment when there are too many
 *   subscribe(since) ──► what is kept since then ──► what comes, without a gap or a double in between
 *
 * Numbers rise by one from event to event; after a crash they may skip some, so that none is ever given twice. Events survive restarts and
 * the daemon's death; a loss of power may cost those that the kernel hadn't written yet. Files are segments (`segments.ts`) of records
 * (`record.ts`).
 */
export interface EventLog {
  /**
   * Subscribes at once, before the first `next`. Ends when `signal` aborts, after what was queued.
   * @throws InvalidArgument if a filter doesn't parse; OutOfRange if events since then are no longer, or can't have been, in the log
   */
  subscribe(filters: readonly string[], since: Since, signal: AbortSignal): AsyncIterable<LoggedEvent>;
}

export interface LoggedEvent extends EventEnvelope {
  readonly sequence: number;
}

/** From where on a subscriber wants events: behind a number (0: all that are kept), or from a time on, in ns since 1970. */
export type Since = { readonly after: number } | { readonly time: bigint };
