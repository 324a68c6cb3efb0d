import { unknown } from "@hull/errors";
import type { PodContainer } from "../model.ts";
import type { PodContainerStore } from "../stores/index.ts";
import { wrapped } from "../wrap.ts";
import { stateName } from "./wire.ts";

/** The container whose processes another of its pod wants to see. @throws in containerd's words unless it runs in this pod */
export function runningTarget(containers: PodContainerStore, podId: string, id: string): PodContainer {
  try {
    const target = containers.find(id);
    if (target === undefined) throw unknown(`container ${JSON.stringify(id)} does not exist: not found`);
    const { podId: other, status } = target;
    if (other !== podId)
      throw unknown(`container ${JSON.stringify(id)} (sandbox ${other}) does not belong to sandbox ${podId}`);
    if (status.state !== "running")
      throw unknown(`container ${JSON.stringify(id)} is not running - in state ${stateName(status.state)}`);
    return target;
  } catch (error) {
    throw wrapped("invalid target container", error);
  }
}
