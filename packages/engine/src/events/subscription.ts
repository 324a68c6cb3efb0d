import { resourceExhausted } from "@hull/errors";
import type { EventEnvelope } from "./index.ts";
import { type EventFilter, payloadOf } from "./match.ts";

/** Events that may wait for a subscriber: some 50 MB of them. */
const longestQueue = 100_000;

/**
 * One subscriber's queue. It takes from its making on, and ends when its signal aborts or its reader leaves the loop; what was
 * queued before an abort is still given. A subscriber that reads nothing while events without end come is let go, with what tells it so.
 */
export class Subscription<Event extends EventEnvelope = EventEnvelope>
  implements AsyncIterableIterator<Event>, AsyncDisposable
{
  readonly #filter: EventFilter;
  readonly #leave: () => void;
  #queue: Event[] = [];
  /** The reader's side of the queue: refilled from `#queue` at once, so that taking one is cheap however many wait. */
  #reading: Event[] = [];
  #ended = false;
  #overrun = false;
  /** Readers that wait: more than one if `next` was called again before it had answered. */
  #waiting: (() => void)[] = [];

  constructor(filter: EventFilter, signal: AbortSignal, left: () => void) {
    this.#filter = filter;
    const end = () => this.#end();
    this.#leave = () => {
      signal.removeEventListener("abort", end);
      left();
    };
    if (signal.aborted) this.#ended = true;
    else signal.addEventListener("abort", end, { once: true });
  }

  /** Queues an event that may be wanted. */
  offer(envelope: Event): void {
    if (this.#ended || (!this.#filter.needsPayload && !this.#filter.matches(envelope))) return;
    if (this.#queue.length >= longestQueue) {
      this.#queue = [];
      this.#overrun = true;
      this.#end();
      return;
    }
    this.#queue.push(envelope);
    this.#wake();
  }

  async next(): Promise<IteratorResult<Event, undefined>> {
    for (;;) {
      const envelope = this.#take();
      if (envelope !== undefined) {
        if (!this.#filter.needsPayload) return { done: false, value: envelope };
        if (this.#filter.matches(envelope, await payloadOf(envelope))) return { done: false, value: envelope };
      } else if (this.#overrun) {
        this.#overrun = false;
        throw resourceExhausted(
          `more than ${longestQueue} events waited for this subscriber: subscribe again, and read on`,
        );
      } else if (this.#ended) return { done: true, value: undefined };
      else await this.#awaken();
    }
  }

  async return(): Promise<IteratorResult<Event, undefined>> {
    this.#queue = [];
    this.#reading = [];
    this.#end();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  #take(): Event | undefined {
    if (this.#reading.length === 0) {
      this.#reading = this.#queue.reverse();
      this.#queue = [];
    }
    return this.#reading.pop();
  }

  #awaken(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#leave();
    this.#wake();
  }
}
