import type { Context } from "../context.ts";
import type { Nanoseconds, TypedBytes } from "../labels.ts";

/**
 * The event exchange: whoever changes something publishes, whoever asked gets it, in order of publication.
 *
 *   publish(topic, event) ──► every subscriber whose filters match, from the moment it subscribed
 *
 * Nothing is kept here for later subscribers, except for those who come back to a daemon that was away (`keepForReturning`): the event
 * log (`event-log`) does that. A slow subscriber's queue grows in memory until it ends its subscription.
 */
export interface EventExchange {
  /** @throws InvalidArgument if the topic isn't `/`-led identifiers */
  publish(ctx: Pick<Context, "namespace">, topic: string, event: TypedBytes): void;
  /**
   * Passes on an event that another process made; `late` if that is one, as a shim, that keeps what it can't tell.
   * @throws InvalidArgument if namespace, topic or timestamp are bad
   */
  forward(envelope: EventEnvelope, options?: { late?: boolean }): void;
  /** Calls `listener` with every event before `publish` returns. It must not throw. Gives what ends that. */
  observe(listener: (envelope: EventEnvelope) => void): () => void;
  /**
   * Keeps all events until what is given is called, and then those from before that shims tell late; whoever subscribes within
   * `milliseconds` after the call gets them first.
   */
  keepForReturning(milliseconds: number): () => void;
  /** Subscribes at once (before the first `next`). Ends when `signal` aborts. @throws InvalidArgument if a filter doesn't parse */
  subscribe(filters: readonly string[], signal: AbortSignal): AsyncIterable<EventEnvelope>;
}

export interface EventEnvelope {
  timestamp: Nanoseconds;
  namespace: string;
  topic: string;
  event: TypedBytes;
}
