import { EventsDefinition } from "@hull/api/gen/containerd/services/events/v1/events";
import type { Envelope } from "@hull/api/gen/containerd/types/event";
import { nanosOfTimestamp, timestampOfNanos } from "@hull/api/timestamp";
import type { EventEnvelope, EventExchange } from "@hull/engine/events/index";
import { type Service, service } from "../server/service.ts";
import { contextOf, need } from "./wire.ts";

export const eventsService = (events: EventExchange): Service =>
  service(EventsDefinition, {
    async publish({ topic, event }, call) {
      events.publish(contextOf(call), topic, need(event, "event"));
      return {};
    },
    async forward({ envelope }) {
      events.forward(fromWireEnvelope(envelope));
      return {};
    },
    async *subscribe({ filters }, call) {
      for await (const envelope of events.subscribe(filters, call.signal)) yield toWireEnvelope(envelope);
    },
  });

/** An event as another process sends it. A missing time is 0, which the exchange refuses. @throws InvalidArgument */
export function fromWireEnvelope(envelope: Envelope | undefined): EventEnvelope {
  const { timestamp, namespace, topic, event } = need(envelope, "envelope");
  return { timestamp: nanosOfTimestamp(timestamp) ?? 0n, namespace, topic, event: need(event, "event") };
}

const toWireEnvelope = ({ timestamp, namespace, topic, event }: EventEnvelope): Envelope => ({
  timestamp: timestampOfNanos(timestamp),
  namespace,
  topic,
  event,
});
