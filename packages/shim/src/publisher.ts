/**
 * The way of events to the daemon: ttrpc's `containerd.services.events.ttrpc.v1.Events/Forward`, one after the other.
 *
 * A failed delivery is tried again after 1, 2, 3 … seconds, five times. What can't be delivered by then waits, up to a number, until the next
 * event or until a daemon asks for this shim (`retry`): a daemon that was away for long still learns what happened.
 */

import { EventsDefinition } from "@hull/api/gen/containerd/services/events/ttrpc/v1/events";
import { nowNanos, timestampOfNanos } from "@hull/api/timestamp";
import { connectTtrpc, type TtrpcConnection, ttrpcClient } from "@hull/ttrpc/client";

const deliveryMs = 5000;
const retries = 5;
const maximumWaiting = 1024;

interface WaitingEvent {
  namespace: string;
  topic: string;
  typeUrl: string;
  value: Uint8Array;
  at: bigint;
}

/** Delivers events in order, of whatever namespaces, over one connection. */
export class Publisher {
  readonly address: string;
  readonly #waiting: WaitingEvent[] = [];
  #connection: TtrpcConnection | undefined;
  #delivering: Promise<void> | undefined;
  #wake: (() => void) | undefined;

  /** @param address socket of the daemon's ttrpc server; empty to deliver nothing */
  constructor(address: string) {
    this.address = address;
  }

  /** Takes an event; returns at once. */
  publish(namespace: string, topic: string, typeUrl: string, value: Uint8Array): void {
    if (this.address === "") return;
    this.#waiting.push({ namespace, topic, typeUrl, value, at: nowNanos() });
    if (this.#waiting.length > maximumWaiting) this.#waiting.shift();
    this.retry();
  }

  /** Delivers what waits, without a pause that may be on. */
  retry(): void {
    this.#wake?.();
    if (this.#waiting.length > 0) {
      this.#delivering ??= this.#deliverAll().finally(() => {
        this.#delivering = undefined;
      });
    }
  }

  /** Waits until everything is delivered, at most `milliseconds`. */
  async flush(milliseconds: number): Promise<void> {
    if (this.#delivering === undefined) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, milliseconds);
    await Promise.race([this.#delivering, promise]);
    clearTimeout(timer);
  }

  async #deliverAll(): Promise<void> {
    let failures = 0;
    for (let event = this.#waiting[0]; event !== undefined; event = this.#waiting[0]) {
      try {
        await this.#deliver(event);
        if (this.#waiting[0] === event) this.#waiting.shift();
        failures = 0;
      } catch {
        await this.#connection?.close();
        this.#connection = undefined;
        if (failures === retries) return;
        failures++;
        await this.#pause(failures * 1000);
      }
    }
  }

  /** Lets the connection go once all is delivered, or can't be. */
  async close(): Promise<void> {
    await this.#delivering;
    await this.#connection?.close();
    this.#connection = undefined;
  }

  async #deliver({ namespace, topic, typeUrl, value, at }: WaitingEvent): Promise<void> {
    this.#connection ??= await connectTtrpc(this.address);
    const client = ttrpcClient(EventsDefinition, this.#connection);
    const envelope = { timestamp: timestampOfNanos(at), namespace, topic, event: { typeUrl, value } };
    await client.forward({ envelope }, { timeoutMs: deliveryMs });
  }

  async #pause(milliseconds: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = setTimeout(resolve, milliseconds);
    await promise;
    clearTimeout(timer);
    this.#wake = undefined;
  }
}
