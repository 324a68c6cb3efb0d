import { EventsDefinition } from "@hull/api/gen/containerd/services/events/v1/events";
import type { Envelope } from "@hull/api/gen/containerd/types/event";
import { timestampOfNanos } from "@hull/api/timestamp";
import type { EventEnvelope, EventExchange } from "@hull/engine/events/index";
import { HullError } from "@hull/errors";
import { type Service, service } from "../server/service.ts";
import { contextOf, need } from "./wire.ts";

export const eventsService = (events: EventExchange): Service =>
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
      for await (const envelope of events.subscribe(filters, call.signal)) yield toWireEnvelope(envelope);
    },
  });

/** An event as another process sends it. A missing time is 1970; one that was never set the exchange refuses. @throws InvalidArgument */
export function fromWireEnvelope(envelope: Envelope | undefined): EventEnvelope {
  const { timestamp, namespace, topic, event } = need(envelope, "envelope");
  const { seconds, nanos } = timestamp ?? { seconds: 0n, nanos: 0 };
  return { timestamp: seconds * 1_000_000_000n + BigInt(nanos), namespace, topic, event: need(event, "event") };
}

const toWireEnvelope = ({ timestamp, namespace, topic, event }: EventEnvelope): Envelope => ({
  timestamp: timestampOfNanos(timestamp),
  namespace,
  topic,
  event,
});
