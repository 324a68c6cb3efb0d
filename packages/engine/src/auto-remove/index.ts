import { TaskExit } from "@hull/api/gen/containerd/events/task";
import { decodeAny } from "@hull/api/typeurl";
import { HullError } from "@hull/errors";
import type { Container, ContainerStore } from "../containers/index.ts";
import { type Context, contextFor } from "../context.ts";
import type { EventExchange } from "../events/index.ts";
import type { TypedBytes } from "../labels.ts";
import type { Logger } from "../log.ts";
import type { TaskManager } from "../runtime/index.ts";
import type { Snapshotter } from "../snapshots/index.ts";
import { unlessGone } from "../unless-gone.ts";

/** A container with this label set to "true" is removed, with its task and snapshot, when its first process ends. */
export const autoRemoveLabel = "hull/auto-remove";

const exitTopic = "/tasks/exit";
const exitType = "containerd.events.TaskExit";

export interface AutoRemoveOptions {
  events: EventExchange;
  containers: ContainerStore;
  tasks: TaskManager;
  snapshotter: (name: string) => Snapshotter | undefined;
  /** Takes away what a client keeps for a container beside the record, e.g. its log. */
  removed: (container: Pick<Container, "id" | "labels"> & Pick<Context, "namespace">) => Promise<void>;
  log: Logger;
  signal: AbortSignal;
}

/**
 * Removes containers that are to go when they end, whether or not the client that started them is still there.
 *
 *   exit of the first process ──► task deleted ──► record deleted ──► snapshot removed
 *
 * An end while no daemon ran is reported when the next one finds the shim again, and counts like any other. The client may remove the
 * same container at the same time: what is gone already is no error. Runs until `signal` aborts.
 */
export async function removeAtExit(options: AutoRemoveOptions): Promise<void> {
  for await (const { namespace, event } of options.events.subscribe([`topic=="${exitTopic}"`], options.signal)) {
    // Not awaited: one that takes long to go must not keep the others.
    removeEnded(options, contextFor(namespace), event).catch((error: unknown) => {
      options.log.log("warn", "a container that ended could not be removed", {
        namespace,
        error: HullError.from(error).message,
      });
    });
  }
}

async function removeEnded(options: AutoRemoveOptions, ctx: Context, event: TypedBytes): Promise<void> {
  const { containers, tasks, snapshotter } = options;
  const { containerId: id, id: process } = decodeAny(event, exitType, TaskExit);
  if (process !== id) return;
  const container = await unlessGone(() => containers.get(ctx, id));
  if (container?.labels[autoRemoveLabel] !== "true") return;
  await unlessGone(() => tasks.delete(ctx, id));
  await unlessGone(() => containers.delete(ctx, id));
  await unlessGone(async () => snapshotter(container.snapshotter)?.remove(ctx, container.snapshotKey));
  await options.removed({ id, labels: container.labels, namespace: ctx.namespace });
}
