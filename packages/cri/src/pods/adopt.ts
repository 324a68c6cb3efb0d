/** Pods that a containerd left whose root is used now: each has a pause process, which keeps its namespaces. */

import { NamespaceMode } from "@hull/api/gen/cri/v1/cri";
import { contextFor } from "@hull/engine/context";
import { unlessGone } from "@hull/engine/unless-gone";
import type { RuntimeHandler, RuntimeHandlers } from "../handlers.ts";
import { criNamespace, type Pod } from "../model.ts";
import { kindLabel } from "../records/index.ts";
import { handlerOf } from "./handler.ts";
import type { PodEngine } from "./options.ts";
import { podOfRecord } from "./record.ts";

const ctx = contextFor(criNamespace);

/** Finds the pause process of a pod of containerd's, and with it the namespaces; without one the pod isn't ready. */
export async function adoptPod(
  pod: Pod,
  { containers, tasks }: Pick<PodEngine, "containers" | "tasks">,
): Promise<void> {
  const record = await unlessGone(() => containers.get(ctx, pod.id));
  const task = await unlessGone(() => tasks.get(ctx, pod.id));
  const isRunning = task?.status === "running";
  if (record !== undefined) {
    const { image, snapshotKey, snapshotter } = record;
    pod.pause = { pid: isRunning ? task.pid : 0, image, snapshotKey, snapshotter };
  }
  if (!isRunning) {
    pod.state = "notReady";
    return;
  }
  const { ipc, network, pid, usernsOptions } = pod.config.linux?.securityContext?.namespaceOptions ?? {};
  const at = (kind: string) => ({ [kind]: `/proc/${task.pid}/ns/${kind}` });
  pod.namespaces = {
    ...pod.namespaces,
    ...(ipc === NamespaceMode.NODE ? {} : at("ipc")),
    ...(network === NamespaceMode.NODE ? {} : at("uts")),
    ...(pid === NamespaceMode.NODE ? {} : at("pid")),
    ...(usernsOptions?.mode === NamespaceMode.POD ? at("user") : {}),
  };
}

/** Pods of versions of containerd that kept them as containers alone. */
export async function podsOfContainers(
  engine: Pick<PodEngine, "containers" | "tasks">,
  handlers: RuntimeHandlers,
  known: ReadonlySet<string>,
): Promise<{ pod: Pod; handler: RuntimeHandler }[]> {
  const records = await engine.containers.list(ctx, [`labels."${kindLabel}"==sandbox`]);
  const pods: { pod: Pod; handler: RuntimeHandler }[] = [];
  for (const record of records.filter(({ id }) => !known.has(id))) {
    const pod = podOfRecord(record);
    await adoptPod(pod, engine);
    pods.push({ pod, handler: handlerOf(handlers, pod.id, pod.config, pod.runtimeHandler) });
  }
  return pods;
}
