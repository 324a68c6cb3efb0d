import { EventsDefinition } from "@hull/api/gen/containerd/services/events/v1/events";
import { eventsSinceHeader } from "@hull/api/metadata";
import { nanosOfTimestamp } from "@hull/api/timestamp";
import type { Any } from "@hull/api/typeurl";
import { unimplemented } from "@hull/errors";
import type { Client } from "./client.ts";

/** Something that happened in the daemon. */
export interface Event {
  /** Its number in the daemon's log; undefined unless `since` was asked for. */
  readonly sequence: number | undefined;
  /** ns since 1970 */
  readonly timestamp: bigint;
  readonly namespace: string;
  /** For example `/tasks/exit`. */
  readonly topic: string;
  /** What it is about; `unpackAny` of `@hull/api/typeurl` reads it. */
  readonly event: Any;
}

export interface EventsOptions {
  /** Each is enough: `topic=="/tasks/exit"`, `namespace==default,topic~=|^/images/|`, `event.container_id==web`. */
  filters?: readonly string[];
  /** Begin with what the daemon's log has behind this event's number (0: all that it keeps), or from a time on (RFC 3339). */
  since?: number | string;
  /** Aborting ends the stream with a `canceled` error. */
  signal?: AbortSignal;
}

/**
 * Events of all namespaces, as they happen; leave the loop to end it.
 *
 * With `since` none is missed: keep the `sequence` of the last event that you are done with, and go on behind it after any interruption,
 * a restart of the daemon too.
 * @throws OutOfRange if the log has dropped events since then; Unimplemented if the daemon keeps none (containerd doesn't)
 */
export async function* events(
  client: Client,
  { filters = [], since, signal }: EventsOptions = {},
): AsyncGenerator<Event, void> {
  const metadata = since === undefined ? undefined : { [eventsSinceHeader]: String(since) };
  const stream = client.service(EventsDefinition).subscribe({ filters: [...filters] }, { metadata, signal });
  for await (const { timestamp, namespace, topic, event, hullSequence } of stream) {
    if (since !== undefined && hullSequence === 0n)
      throw unimplemented(`the daemon at "${client.address}" keeps no log of events: subscribe without "since"`);
    yield {
      sequence: since === undefined ? undefined : Number(hullSequence),
      timestamp: nanosOfTimestamp(timestamp) ?? 0n,
      namespace,
      topic,
      event: event ?? { typeUrl: "", value: new Uint8Array() },
    };
  }
}
