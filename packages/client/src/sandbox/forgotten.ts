import { isCode } from "@hull/errors";
import type { Client } from "../client.ts";
import { Containers } from "../sdk/containers.ts";
import { removeWorkspace } from "./workspace.ts";

/** When a sandbox has to be gone at the latest, ms since 1970, in its container's record. */
export const deadlineLabel = "hull.sandbox/deadline";

/** ms from the end of a sandbox's time until whoever started it must be gone. */
export const graceMs = 60_000;

/** When each client has looked last, ms since 1970. */
const looked = new Map<string, number>();

/**
 * Takes sandboxes away whose time is up and whose program isn't there any more to do it: a program may be killed in the middle. Looks once a
 * minute for each daemon and namespace.
 */
export async function removeForgotten(client: Client): Promise<void> {
  const place = `${client.address}\0${client.namespace}`;
  const now = Date.now();
  if (now - (looked.get(place) ?? 0) < graceMs) return;
  looked.set(place, now);
  for (const container of await new Containers(client).list(`labels."${deadlineLabel}"`)) {
    const deadline = Number(container.labels[deadlineLabel]);
    if (!/^[0-9a-f]{64}$/.test(container.id) || !(deadline < now)) continue;
    try {
      await container.remove({ force: true });
    } catch (error) {
      // Others may be at it too.
      if (!isCode(error, "notFound")) throw error;
    }
    removeWorkspace(container.id);
  }
}
