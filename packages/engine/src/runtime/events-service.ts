/** What shims call to tell their events: `containerd.services.events.ttrpc.v1.Events`. The daemon serves it on its ttrpc socket. */

import type { EventsDefinition } from "@hull/api/gen/containerd/services/events/ttrpc/v1/events";
import type { ServiceImplementation } from "@hull/api/rpc";
import { nanosOfTimestamp } from "@hull/api/timestamp";
import { invalidArgument } from "@hull/errors";
import type { EventExchange } from "../events/index.ts";

export { EventsDefinition as shimEventsDefinition } from "@hull/api/gen/containerd/services/events/ttrpc/v1/events";

/** Passes events on to the exchange. */
export function shimEventsService(
  events: Pick<EventExchange, "forward">,
): ServiceImplementation<typeof EventsDefinition> {
  return {
    async forward({ envelope }) {
      const { timestamp, namespace, topic, event } = envelope ?? {};
      const at = nanosOfTimestamp(timestamp);
      if (at === undefined || event === undefined || namespace === undefined || topic === undefined) {
        throw invalidArgument("an event needs a timestamp, a namespace, a topic and a value");
      }
      events.forward({ timestamp: at, namespace, topic, event }, { late: true });
      return {};
    },
  };
}
