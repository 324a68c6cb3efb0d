import { HullError, outOfRange } from "@hull/errors";
import type { EventEnvelope, EventExchange } from "../events/index.ts";
import { compileEventFilters, payloadOf } from "../events/match.ts";
import { Subscription } from "../events/subscription.ts";
import type { Logger } from "../log.ts";
import type { EventLog, LoggedEvent, Since } from "./index.ts";
import { encodeRecord } from "./record.ts";
import { readEvents, type SegmentOptions, Segments } from "./segments.ts";

export interface FileEventLogOptions extends SegmentOptions {
  readonly events: Pick<EventExchange, "observe">;
  readonly log: Logger;
}

/** A log in a directory of its own. */
export class FileEventLog implements EventLog, Disposable {
  readonly #segments: Segments;
  readonly #log: Logger;
  readonly #subscriptions = new Set<Subscription<LoggedEvent>>();
  readonly #unobserve: () => void;
  /** Events that are in no file yet. */
  #pending: LoggedEvent[] = [];
  #fails = false;

  constructor({ events, log, ...options }: FileEventLogOptions) {
    this.#log = log;
    this.#segments = new Segments(options);
    this.#unobserve = events.observe((envelope) => this.#take(envelope));
  }

  subscribe(filters: readonly string[], since: Since, signal: AbortSignal): AsyncIterable<LoggedEvent> {
    const filter = compileEventFilters(filters);
    this.#flush();
    const { oldest, next } = this.#segments;
    if ("after" in since && since.after > 0) checkRange(since.after, oldest, next);
    // From here on nothing is awaited until the subscription stands: what is published later is not among what is read.
    const live = new Subscription<LoggedEvent>(filter, signal, () => this.#subscriptions.delete(live));
    if (!signal.aborted) this.#subscriptions.add(live);
    const first = "after" in since ? since.after + 1 : 0;
    const time = "time" in since ? since.time : undefined;
    const files = this.#segments.openFrom(first);
    // Whoever never reads what it subscribed to must not leave a rejection.
    files.catch(() => {});
    return (async function* () {
      await using _leaving = live;
      for await (const event of readEvents(await files, first, next)) {
        if (signal.aborted) return;
        if (time !== undefined && event.timestamp < time) continue;
        if (filter.matches(event, filter.needsPayload ? await payloadOf(event) : undefined)) yield event;
      }
      yield* live;
    })();
  }

  [Symbol.dispose](): void {
    this.#unobserve();
    this.#flush();
    this.#segments[Symbol.dispose]();
  }

  #take(envelope: EventEnvelope): void {
    const event = { ...envelope, sequence: this.#segments.number() };
    // Before the answer to the call that caused it can leave, and as one write for all that a step of work publishes.
    if (this.#pending.push(event) === 1) queueMicrotask(() => this.#flush());
    for (const subscription of this.#subscriptions) subscription.offer(event);
  }

  #flush(): void {
    const events = this.#pending;
    const [first] = events;
    if (first === undefined) return;
    this.#pending = [];
    try {
      this.#segments.append(events.map(encodeRecord), first.sequence);
      this.#fails = false;
    } catch (error) {
      // Told once: a full disk would fill the log, too.
      if (!this.#fails) this.#log.log("error", "events are not kept", { error: HullError.from(error).message });
      this.#fails = true;
    }
  }
}

/** @throws OutOfRange unless all events behind `after` are kept */
function checkRange(after: number, oldest: number, next: number): void {
  if (after >= next)
    throw outOfRange(
      `there was no event ${after} yet: the next one is ${next}; ask for events since 0 to get all that are kept`,
    );
  if (after < oldest - 1)
    throw outOfRange(
      `events since ${after} are not all kept any more: the oldest one is ${oldest}; ask for events since 0 to get all that are kept`,
    );
}
