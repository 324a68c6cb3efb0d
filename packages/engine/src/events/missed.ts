import { nowNanos } from "@hull/api/timestamp";
import type { EventEnvelope } from "./index.ts";

/**
 * What happened while nobody could subscribe, for clients that come back to a daemon that was away.
 *
 *   made: keeps every event ──served()──► keeps those from before that shims tell late, gives them ──a while──► keeps nothing
 *
 * containerd has no such thing: its shims try again after 1, 2, 3 … seconds, by when a client has mostly come back. hull's shims tell
 * at once when the daemon is there, which is before any client can be.
 */
export class MissedEvents {
  readonly #milliseconds: number;
  #servedAt: bigint | undefined;
  #kept: EventEnvelope[] | undefined = [];

  /** @param milliseconds how long after `served` a client that subscribes is one that came back */
  constructor(milliseconds: number) {
    this.#milliseconds = milliseconds;
  }

  /** From now on clients can subscribe. */
  served(): void {
    this.#servedAt = nowNanos();
    setTimeout(() => {
      this.#kept = undefined;
    }, this.#milliseconds).unref();
  }

  /** @param late whether who tells it may have kept it for a daemon that was away */
  offer(envelope: EventEnvelope, late: boolean): void {
    if (this.#servedAt === undefined || (late && envelope.timestamp < this.#servedAt)) this.#kept?.push(envelope);
  }

  /** For one who subscribes now. What was told before `served` has reached those who subscribed before. */
  get events(): readonly EventEnvelope[] {
    return this.#servedAt === undefined ? [] : (this.#kept ?? []);
  }
}
