import type { EventEnvelope } from "./index.ts";

/** Does something with each event, one after the other. What fails for one is told, and the next is taken. Resolves with the end of the events. */
export async function forEachEvent(
  events: AsyncIterable<EventEnvelope>,
  take: (event: EventEnvelope) => Promise<void>,
  complain: (event: EventEnvelope, error: unknown) => void,
): Promise<void> {
  for await (const event of events) {
    try {
      await take(event);
    } catch (error) {
      complain(event, error);
    }
  }
}
