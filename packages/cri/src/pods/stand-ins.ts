/**
 * What shows a pod without a process to those who look for one.
 *
 * cAdvisor, which the kubelet has built in, follows control groups. A group whose name holds an id is a container to it, of which it asks the
 * daemon: labels and image, and the pid of the task. The container whose label says that it is a pod's sandbox is the one whose network it
 * counts, by `/proc/<pid>/net/dev`: without it the kubelet's metrics and summary have no network (unless its feature gate
 * PodAndContainerStatsFromCRI is on). So a pod has an empty group where a pause process would have its own, and who asks for its task gets a
 * thread of the daemon that waits in its network.
 */

import { mkdirSync, rmdirSync } from "node:fs";
import { contextFor } from "@hull/engine/context";
import { HullError } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { inNetworkNamespace } from "@hull/sys/namespace";
import { startWaitingThread, type WaitingThread } from "@hull/sys/thread";
import { pauseImage } from "../config.ts";
import type { RuntimeHandler } from "../handlers.ts";
import { criNamespace, type Pod } from "../model.ts";
import { cgroupsPath } from "../spec/index.ts";
import { Groups } from "../stats/groups.ts";
import type { PodsOptions } from "./options.ts";
import { podLabels } from "./record.ts";

const ctx = contextFor(criNamespace);

/** cAdvisor, whose connection a restart has broken, waits up to 3.6 s before it makes another, and asks about a new group once only. */
const reconnectedMs = 5000;

type Options = Pick<PodsOptions, "config" | "engine" | "log" | "reconnectedMs">;

/** The stand-ins of pods. */
export class PodStandIns {
  readonly #options: Options;
  readonly #groups = new Groups();
  readonly #threads = new Map<string, WaitingThread>();
  /** Pods of an earlier run whose groups are still those that it made. */
  readonly #earlier = new Set<Pod>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: Options) {
    this.#options = options;
  }

  /** Shows a pod that has become ready. */
  show(pod: Pod, handler: RuntimeHandler): void {
    this.#add(pod, handler);
    this.#makeGroup(pod);
  }

  /** Shows one that an earlier run of the daemon has shown. Its group is made anew after a while: whoever follows groups asks again then. */
  showAgain(pod: Pod, handler: RuntimeHandler): void {
    this.#add(pod, handler);
    this.#earlier.add(pod);
    this.#timer ??= setTimeout(() => {
      for (const each of this.#earlier) this.#makeGroup(each);
      this.#earlier.clear();
    }, this.#options.reconnectedMs ?? reconnectedMs).unref();
  }

  #add(pod: Pod, handler: RuntimeHandler): void {
    const { engine, config } = this.#options;
    const container = {
      id: pod.id,
      labels: podLabels(pod.config),
      image: pauseImage(config.images),
      runtime: { name: handler.runtime },
      spec: emptySpec,
      snapshotter: "",
      snapshotKey: "",
      sandbox: pod.id,
      extensions: {},
      createdAt: pod.createdAt,
      updatedAt: pod.createdAt,
    };
    engine.standIns.add(ctx, { container, pid: () => this.#pidIn(pod) });
  }

  #makeGroup(pod: Pod): void {
    // In all trees before one is made again: a group is gone when none has it any more.
    this.#forEachGroup(pod, rmdirSync);
    this.#forEachGroup(pod, mkdirSync);
  }

  /** One that isn't shown is fine, also one with a process of its own. */
  hide(pod: Pod): void {
    if (pod.pause !== undefined) return;
    this.#earlier.delete(pod);
    this.#options.engine.standIns.delete(ctx, pod.id);
    this.#forEachGroup(pod, rmdirSync);
    this.#threads.get(pod.id)?.[Symbol.dispose]();
    this.#threads.delete(pod.id);
  }

  /** Pods stay shown, for those who look, until the daemon is back. */
  close(): void {
    clearTimeout(this.#timer);
    for (const thread of this.#threads.values()) thread[Symbol.dispose]();
    this.#threads.clear();
  }

  /** Of something in a pod's network. */
  #pidIn({ id, namespaces: { net } }: Pod): number | undefined {
    if (net === undefined) return process.pid;
    const waiting = this.#threads.get(id);
    if (waiting?.isAlive() === true) return waiting.id;
    try {
      const thread = inNetworkNamespace(net, startWaitingThread);
      this.#threads.set(id, thread);
      return thread.id;
    } catch (error) {
      this.#tell("a pod's network can't be shown", id, error);
      return undefined;
    }
  }

  /** Where the parent isn't there, as the kubelet makes it, nobody looks either. */
  #forEachGroup({ id, config }: Pod, act: (directory: string) => void): void {
    const parent = config.linux?.cgroupParent ?? "";
    const cgroup = parent === "" ? undefined : this.#groups.at(cgroupsPath(parent, id))?.cgroup;
    if (cgroup === undefined) return;
    const { controllers, unified } = cgroup;
    for (const directory of new Set([...Object.values(controllers), ...(unified === undefined ? [] : [unified])])) {
      try {
        act(directory);
      } catch (error) {
        if (!isErrno(error, "ENOENT")) this.#tell("a pod's control group can't be made or removed", id, error);
      }
    }
  }

  #tell(what: string, id: string, error: unknown): void {
    this.#options.log.log("warn", what, { pod: id, error: HullError.from(error).message });
  }
}

/** As much of one as those need who read it. */
const emptySpec = {
  typeUrl: "types.containerd.io/opencontainers/runtime-spec/1/Spec",
  value: new TextEncoder().encode(JSON.stringify({ ociVersion: "1.2.0", process: { args: [], env: [], cwd: "/" } })),
};
