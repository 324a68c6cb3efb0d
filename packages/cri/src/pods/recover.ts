/** Bringing back the pods of earlier runs of the daemon, and taking down what they left of pods that never became ready. */

import { contextFor } from "@hull/engine/context";
import { HullError } from "@hull/errors";
import type { RuntimeHandler } from "../handlers.ts";
import { criNamespace, type Pod } from "../model.ts";
import { adoptPod, podsOfContainers } from "./adopt.ts";
import { removeOrphans, removePodDirectories } from "./files.ts";
import type { PodKeeper } from "./keeper.ts";
import type { NamespaceMaker } from "./namespace-maker.ts";
import { isNetworkClosed } from "./namespaces.ts";
import type { PodsOptions } from "./options.ts";
import { isContainerds, podOfRecord, podRecord } from "./record.ts";
import type { PodStandIns } from "./stand-ins.ts";
import { directoriesOf, removeRecord } from "./start.ts";

const ctx = contextFor(criNamespace);

/** What whoever keeps the pods does for their recovery. */
export interface Recovering {
  readonly options: PodsOptions;
  readonly namespaces: NamespaceMaker;
  readonly standIns: PodStandIns;
  /** Undefined for one that isn't configured any more. */
  handlerOf(pod: Pod): RuntimeHandler | undefined;
  /** Undefined for a pod without a process. */
  keeperOf(pod: Pod): PodKeeper | undefined;
  /** Has a pod be ready no more once its keeper has ended. */
  watch(pod: Pod, keeper: PodKeeper | undefined): void;
  tell(what: string, pod: Pod, error: unknown): void;
}

/** See `Pods.recover`. */
export async function recoverPods(of: Recovering): Promise<void> {
  const { engine, networks, handlers, directories, log } = of.options;
  const known = new Set<string>();
  const records = await engine.sandboxes.list(ctx);
  for (const record of records.sort((a, b) => Number(a.createdAt - b.createdAt))) {
    known.add(record.id);
    let pod: Pod;
    try {
      pod = podOfRecord(record);
    } catch (error) {
      // Of another client of the sandbox store.
      log.log("debug", "a sandbox is no pod", { id: record.id, error: HullError.from(error).message });
      continue;
    }
    if (isContainerds(record)) await adoptPod(pod, engine);
    if (pod.state === "starting" && (await discard(of, pod))) known.delete(pod.id);
    else await bringBack(of, pod);
  }
  for (const { pod, handler } of await podsOfContainers(engine, handlers, known)) {
    known.add(pod.id);
    await engine.sandboxes.create(ctx, podRecord(pod, handler));
    await bringBack(of, pod);
  }
  await networks.collect(known);
  await removeOrphans(directories, known);
}

async function bringBack(of: Recovering, pod: Pod): Promise<void> {
  const { pods, selinux } = of.options;
  pods.reserveName(pod.name, pod.id);
  selinux.reserve(pod.processLabel);
  await findAgain(of, pod);
  pods.add(pod);
}

/** Takes down what never became ready. False if a part of it stays. */
async function discard(of: Recovering, pod: Pod): Promise<boolean> {
  const { id, config, runtimeHandler, namespaces } = pod;
  const { options } = of;
  try {
    await of.keeperOf(pod)?.remove(id);
    // A process that was only being made may have left its group, of which its runtime knows nothing.
    of.standIns.hide(pod);
    const netns = isNetworkClosed(namespaces) ? "" : (namespaces.net ?? "");
    if (namespaces.net !== undefined) await options.networks.remove({ id, config, runtimeHandler, netns });
    await of.namespaces.release(namespaces);
    await removePodDirectories(directoriesOf(options, id));
    await removeRecord(options, id);
    return true;
  } catch (error) {
    of.tell("what an earlier run left of a pod could not be taken down", pod, error);
    return false;
  }
}

/** Whether what an earlier run left of a pod is still whole. */
async function findAgain(of: Recovering, pod: Pod): Promise<void> {
  if (pod.state === "ready") {
    const keeper = of.keeperOf(pod);
    const pid = keeper === undefined ? 0 : await keeper.pidOf(pod.id);
    const isWhole = pid !== undefined && (pod.namespaces.net === undefined || !isNetworkClosed(pod.namespaces));
    if (isWhole) {
      const handler = of.handlerOf(pod);
      if (keeper === undefined && handler !== undefined) of.standIns.showAgain(pod, handler);
      return of.watch(pod, keeper);
    }
  }
  pod.state = "notReady";
}
