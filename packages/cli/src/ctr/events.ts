import { rfc3339OfNanos } from "@hull/api/timestamp";
import { isKnownType, typeNameOf, unpackAny } from "@hull/api/typeurl";
import { events } from "@hull/client/events";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import type { eventsFlags } from "./flags.ts";
import { goJson, messageToGo } from "./go-json.ts";

/** With `--since` each line begins with the event's number, behind which to go on another time. */
export const watchEvents: CtrAction<typeof eventsFlags> = ({ args, flags, globals, host }) =>
  withClient(globals, async (client) => {
    const since = flags.since === "" ? undefined : flags.since;
    for await (const { sequence, timestamp, namespace, topic, event } of events(client, { filters: args, since })) {
      // An event that nobody here knows is shown without its fields.
      const payload = isKnownType(typeNameOf(event.typeUrl))
        ? goJson(messageToGo((await unpackAny(event)).message))
        : "";
      const time = rfc3339OfNanos(timestamp).replace("T", " ").replace("Z", " +0000 UTC");
      await host.out(`${sequence === undefined ? "" : `${sequence} `}${time} ${namespace} ${topic} ${payload}\n`);
    }
    return 0;
  });
