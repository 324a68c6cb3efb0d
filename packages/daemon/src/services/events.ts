import { EventsDefinition } from "@hull/api/gen/containerd/services/events/v1/events";
import type { Envelope } from "@hull/api/gen/containerd/types/event";
import { eventsSinceHeader } from "@hull/api/metadata";
import { timestampOfNanos } from "@hull/api/timestamp";
import type { EventLog } from "@hull/engine/event-log/index";
import { parseSince } from "@hull/engine/event-log/since";
import type { EventEnvelope, EventExchange } from "@hull/engine/events/index";
import { failedPrecondition, HullError } from "@hull/errors";
import { type Service, service } from "../server/service.ts";
import { contextOf, need } from "./wire.ts";

/** `log` is there unless it is turned off. */
export const eventsService = (events: EventExchange, log: EventLog | undefined): Service =>
  service(EventsDefinition, {
    async publish({ topic, event }, call) {
      try {
        events.publish(contextOf(call), topic, need(event, "event"));
      } catch (error) {
        const { code, message } = HullError.from(error);
        throw new HullError(code, message.startsWith("namespace") ? `failed publishing event: ${message}` : message);
      }
      return {};
    },
    async forward({ envelope }) {
      events.forward(fromWireEnvelope(envelope));
      return {};
    },
    async *subscribe({ filters }, call) {
      const since = call.metadata(eventsSinceHeader);
      if (since !== undefined) {
        if (log === undefined) throw failedPrecondition("no events are kept: the event log is turned off");
        for await (const event of log.subscribe(filters, parseSince(since), call.signal))
          yield toWireEnvelope(event, event.sequence);
        return;
      }
      for await (const envelope of events.subscribe(filters, call.signal)) yield toWireEnvelope(envelope);
    },
  });

/** An event as another process sends it. A missing time is 1970; one that was never set the exchange refuses. @throws InvalidArgument */
export function fromWireEnvelope(envelope: Envelope | undefined): EventEnvelope {
  const { timestamp, namespace, topic, event } = need(envelope, "envelope");
  const { seconds, nanos } = timestamp ?? { seconds: 0n, nanos: 0 };
  return { timestamp: seconds * 1_000_000_000n + BigInt(nanos), namespace, topic, event: need(event, "event") };
}

const toWireEnvelope = ({ timestamp, namespace, topic, event }: EventEnvelope, sequence = 0): Envelope => ({
  timestamp: timestampOfNanos(timestamp),
  namespace,
  topic,
  event,
  hullSequence: BigInt(sequence),
});
