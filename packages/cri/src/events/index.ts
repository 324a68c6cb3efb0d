import type { ContainerEventResponse } from "@hull/api/gen/cri/v1/cri";

/** How long events wait for a subscriber, ms. */
const keptMs = 5 * 60_000;
/** Events that may wait: a subscriber that is slower is let go, as the kubelet then lists everything anew; without any the oldest are dropped. */
const maxBehind = 10_000;

/**
 * What happened to pods and containers, for `GetContainerEvents`.
 *
 *   send ──► every subscriber; without any: kept for five minutes ──► the first that comes | dropped and counted
 */
export class ContainerEvents implements Disposable {
  readonly #subscribers = new Set<Subscriber>();
  #kept: { readonly event: ContainerEventResponse; readonly at: number }[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #dropped = 0;
  readonly #keptMs: number;

  constructor(options: { keptMs?: number } = {}) {
    this.#keptMs = options.keptMs ?? keptMs;
  }

  /** How many events nobody came for in time. */
  get dropped(): number {
    return this.#dropped;
  }

  send(event: ContainerEventResponse): void {
    if (this.#subscribers.size > 0) {
      for (const subscriber of this.#subscribers) subscriber.push(event);
      return;
    }
    this.#kept.push({ event, at: performance.now() });
    if (this.#kept.length > maxBehind) {
      this.#kept.shift();
      this.#dropped++;
    }
    this.#timer ??= this.#dropLater();
  }

  /** All events from now on and those that were kept, until `signal` aborts. Subscribes at once. */
  subscribe(signal: AbortSignal): AsyncIterable<ContainerEventResponse> {
    const subscriber = new Subscriber(() => this.#subscribers.delete(subscriber));
    for (const { event } of this.#kept) subscriber.push(event);
    this.#kept = [];
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#subscribers.add(subscriber);
    if (signal.aborted) subscriber.end();
    else signal.addEventListener("abort", () => subscriber.end(), { once: true });
    return subscriber.events();
  }

  #dropLater(): ReturnType<typeof setTimeout> {
    const timer = setTimeout(() => {
      const oldest = performance.now() - this.#keptMs;
      const left = this.#kept.filter(({ at }) => at > oldest);
      this.#dropped += this.#kept.length - left.length;
      this.#kept = left;
      this.#timer = left.length === 0 ? undefined : this.#dropLater();
    }, this.#keptMs);
    timer.unref();
    return timer;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    for (const subscriber of this.#subscribers) subscriber.end();
  }
}

/** Events on their way to one subscriber. */
class Subscriber {
  readonly #left: () => void;
  #waiting: ContainerEventResponse[] = [];
  #wake: (() => void) | undefined;
  #ended = false;

  constructor(left: () => void) {
    this.#left = left;
  }

  push(event: ContainerEventResponse): void {
    if (this.#waiting.length < maxBehind) this.#waiting.push(event);
    else this.end();
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#left();
    this.#wake?.();
  }

  async *events(): AsyncIterable<ContainerEventResponse> {
    try {
      for (;;) {
        const ready = this.#waiting;
        this.#waiting = [];
        yield* ready;
        if (this.#waiting.length > 0) continue;
        if (this.#ended) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
    } finally {
      this.end();
    }
  }
}
