import { nowNanos } from "@hull/api/timestamp";
import { invalidArgument } from "@hull/errors";
import type { Context } from "../context.ts";
import type { TypedBytes } from "../labels.ts";
import { checkIdentifier, requireNamespace } from "../metadata/index.ts";
import type { EventEnvelope, EventExchange } from "./index.ts";
import { compileEventFilters } from "./match.ts";
import { MissedEvents } from "./missed.ts";
import { Subscription } from "./subscription.ts";

/** Go's zero time, which a Go program sends for a time that it never set. */
const zeroTime = -62_135_596_800n * 1_000_000_000n;

/** The exchange of one process. */
export class LocalEventExchange implements EventExchange {
  readonly #subscriptions = new Set<Subscription>();
  readonly #listeners = new Set<(envelope: EventEnvelope) => void>();
  #missed: MissedEvents | undefined;

  publish(ctx: Pick<Context, "namespace">, topic: string, event: TypedBytes): void {
    checkTopic(topic);
    this.#pass({ timestamp: nowNanos(), namespace: requireNamespace(ctx), topic, event });
  }

  forward(envelope: EventEnvelope, { late = false }: { late?: boolean } = {}): void {
    checkIdentifier(envelope.namespace, "event envelope has invalid namespace");
    checkTopic(envelope.topic);
    if (envelope.timestamp === zeroTime) throw invalidArgument("timestamp must be set on forwarded event");
    this.#pass(envelope, late);
  }

  subscribe(filters: readonly string[], signal: AbortSignal): AsyncIterableIterator<EventEnvelope> & AsyncDisposable {
    const subscription = new Subscription(compileEventFilters(filters), signal, () =>
      this.#subscriptions.delete(subscription),
    );
    if (signal.aborted) return subscription;
    for (const envelope of this.#missed?.events ?? []) subscription.offer(envelope);
    this.#subscriptions.add(subscription);
    return subscription;
  }

  keepForReturning(milliseconds: number): () => void {
    const missed = new MissedEvents(milliseconds);
    this.#missed = missed;
    return () => missed.served();
  }

  observe(listener: (envelope: EventEnvelope) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** How many are subscribed now. */
  get subscribers(): number {
    return this.#subscriptions.size;
  }

  #pass(envelope: EventEnvelope, late = false): void {
    this.#missed?.offer(envelope, late);
    for (const listener of this.#listeners) listener(envelope);
    for (const subscription of this.#subscriptions) subscription.offer(envelope);
  }
}

/** @throws InvalidArgument unless the topic is a path of identifiers, `/tasks/start` */
function checkTopic(topic: string): void {
  const what = `envelope topic "${topic}"`;
  if (topic === "") throw invalidArgument(`${what}: must not be empty`);
  if (!topic.startsWith("/")) throw invalidArgument(`${what}: must start with '/'`);
  if (topic === "/") throw invalidArgument(`${what}: must have at least one component`);
  for (const component of topic.slice(1).split("/")) {
    checkIdentifier(component, `${what}: failed validation on component "${component}"`);
  }
}
