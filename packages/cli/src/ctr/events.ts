import { EventsDefinition } from "@hull/api/gen/containerd/services/events/v1/events";
import { nanosOfTimestamp, rfc3339OfNanos } from "@hull/api/timestamp";
import { isKnownType, typeNameOf, unpackAny } from "@hull/api/typeurl";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import { goJson, messageToGo } from "./go-json.ts";

export const watchEvents: CtrAction = ({ args, globals, host }) =>
  withClient(globals, async (client) => {
    for await (const { timestamp, namespace, topic, event } of client
      .service(EventsDefinition)
      .subscribe({ filters: [...args] })) {
      // An event that nobody here knows is shown without its fields.
      const payload =
        event !== undefined && isKnownType(typeNameOf(event.typeUrl))
          ? goJson(messageToGo((await unpackAny(event)).message))
          : "";
      const time = rfc3339OfNanos(nanosOfTimestamp(timestamp) ?? 0n)
        .replace("T", " ")
        .replace("Z", " +0000 UTC");
      await host.out(`${time} ${namespace} ${topic} ${payload}\n`);
    }
    return 0;
  });
