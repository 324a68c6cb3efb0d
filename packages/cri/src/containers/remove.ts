import { rm } from "node:fs/promises";
import { ContainerEventType } from "@hull/api/gen/cri/v1/cri";
import { unlessGone } from "@hull/engine/unless-gone";
import { unknown } from "@hull/errors";
import type { PodContainer } from "../model.ts";
import { withinLater } from "../wrap.ts";
import type { ContainersContext } from "./context.ts";
import { stopContainer } from "./stop.ts";

/** Removes a container with all that was made for it but its log; one that runs is killed first. @throws in containerd's words */
export async function removeContainer(of: ContainersContext, container: PodContainer): Promise<void> {
  const { containers, pods, nri, records, onEvent, releaseLabel } = of.options;
  const { id } = container;
  const quoted = JSON.stringify(id);
  if (container.status.state === "running" || container.status.state === "unknown")
    await withinLater(`failed to forcibly stop container ${quoted}`, stopContainer(of, container, 0));
  setRemoving(container);
  try {
    const pod = pods.exact(container.podId);
    await nri.removeContainer(pod, container);
    const record = await unlessGone(() => records.get(of.engine, id));
    if (record !== undefined) {
      // The record's end is what counts: what is left of the rest after a crash is the collector's, and the next start's.
      const removals = [
        unlessGone(() => of.snapshotter(record.snapshotter).remove(of.engine, record.snapshotKey)),
        unlessGone(() => records.delete(of.engine, id)),
      ];
      await withinLater(`failed to delete containerd container ${quoted}`, allOf(removals));
    }
    const directories = [of.root(id), of.state(id)].map((path) => rm(path, { recursive: true, force: true }));
    await withinLater(`failed to remove container root directory ${JSON.stringify(of.root(id))}`, allOf(directories));
    if (container.processLabel !== pod?.processLabel) releaseLabel(container.processLabel);
  } catch (error) {
    container.status = { ...container.status, removing: false };
    throw error;
  }
  containers.remove(id);
  containers.releaseName(container.name, id);
  of.live.forget(id);
  onEvent(ContainerEventType.CONTAINER_DELETED_EVENT, container);
}

function setRemoving(container: PodContainer): void {
  const { id, status } = container;
  const state = `failed to set removing state for container ${JSON.stringify(id)}`;
  if (status.state === "running") throw unknown(`${state}: container is still running, to stop first`);
  if (status.state === "unknown") throw unknown(`${state}: container state is unknown, to stop first`);
  if (status.starting) throw unknown(`${state}: container is in starting state, can't be removed`);
  if (status.removing) throw unknown(`${state}: container is already in removing state`);
  container.status = { ...status, removing: true };
}

/** Waits for all, and throws what the first one that failed threw. */
async function allOf(works: readonly Promise<unknown>[]): Promise<void> {
  const failed = (await Promise.allSettled(works)).find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}
