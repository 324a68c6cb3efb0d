import { Metrics as MetricsV1 } from "@hull/api/gen/cgroups/v1/metrics";
import { Metrics as MetricsV2 } from "@hull/api/gen/cgroups/v2/metrics";
import { ContainerEventType } from "@hull/api/gen/cri/v1/cri";
import { nowNanos } from "@hull/api/timestamp";
import type { Exit } from "@hull/engine/runtime/index";
import { unlessGone } from "@hull/engine/unless-gone";
import { HullError } from "@hull/errors";
import type { PodContainer } from "../model.ts";
import type { ContainersContext } from "./context.ts";

/** What a process has that the kernel killed for want of memory: SIGKILL. */
const killed = 137;
/** Of a process whose end nobody saw. */
export const unknownExit = 255;
export const oomReason = "OOMKilled";

/** Deals with a container's end when that comes. */
export function watchExit(of: ContainersContext, container: PodContainer, exit: Promise<Exit>): void {
  const { log } = of.options;
  const seen = exit.catch((error: unknown): Exit => {
    // The daemon lets go of its shims when it stops: that is no end.
    log.log("debug", "the end of a container was not seen", {
      id: container.id,
      error: HullError.from(error).message,
    });
    return { pid: 0, exitStatus: unknownExit, exitedAt: nowNanos() };
  });
  void seen.then(async (ended) => {
    if (of.closed) return;
    try {
      await settleExit(of, container, ended);
    } catch (error) {
      log.log("error", "the end of a container could not be dealt with", {
        id: container.id,
        error: HullError.from(error).message,
      });
    }
  });
}

/** Deletes the task of a container that has ended, writes that down and tells of it. */
export async function settleExit(of: ContainersContext, container: PodContainer, exit: Exit): Promise<void> {
  const { tasks, pods, nri, onEvent } = of.options;
  const { id } = container;
  if (exit.exitStatus === killed && container.status.reason !== oomReason && (await wasOutOfMemory(of, id)))
    container.status = { ...container.status, reason: oomReason };
  void nri.stopContainer(pods.exact(container.podId), container);
  const { streams } = of.live.of(id);
  await streams?.drained();
  const over: Partial<PodContainer["status"]> =
    container.status.finishedAt === 0n
      ? { state: "exited", pid: 0, finishedAt: exit.exitedAt, exitCode: exit.exitStatus }
      : { state: "exited" };
  // The task, once deleted, tells no daemon after this one how it ended.
  of.saveAhead(container, over);
  await unlessGone(() => tasks.delete(of.engine, id));
  streams?.close();
  of.save(container, over);
  of.live.of(id).markStopped();
  onEvent(ContainerEventType.CONTAINER_STOPPED_EVENT, container);
}

/** Whether the kernel killed a process of its control group, which the event of it may come too late to say. */
async function wasOutOfMemory({ options, engine }: ContainersContext, id: string): Promise<boolean> {
  try {
    const { typeUrl, value } = await options.tasks.stats(engine, id);
    if (typeUrl.includes("cgroups.v1")) return (MetricsV1.decode(value).memoryOomControl?.oomKill ?? 0n) > 0n;
    return (MetricsV2.decode(value).memoryEvents?.oomKill ?? 0n) > 0n;
  } catch {
    // The group, or the shim, is gone already.
    return false;
  }
}
