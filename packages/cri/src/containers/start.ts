import { ContainerEventType, NamespaceMode } from "@hull/api/gen/cri/v1/cri";
import { nowNanos } from "@hull/api/timestamp";
import { unlessGone } from "@hull/engine/unless-gone";
import { HullError, unknown } from "@hull/errors";
import type { PodContainer } from "../model.ts";
import { withinLater, wrapped } from "../wrap.ts";
import type { ContainersContext } from "./context.ts";
import { watchExit } from "./exit.ts";
import { forgetCheckpoint, processesOf } from "./restore.ts";
import { namesOf, streamsOf } from "./streams.ts";
import { runningTarget } from "./target.ts";
import { stateName } from "./wire.ts";

/** The status of a container that could not be started. */
const startFailed = 128;
const SIGKILL = 9;

/** Starts a container that was made. One that can't be has ended, with what was wrong as its message. @throws in containerd's words */
export async function startContainer(of: ContainersContext, idOrPrefix: string): Promise<void> {
  const container = of.options.containers.get(idOrPrefix);
  const { id, status } = container;
  const state = `failed to set starting state for container ${JSON.stringify(id)}`;
  if (status.state !== "created") throw unknown(`${state}: container is in ${stateName(status.state)} state`);
  if (status.removing) throw unknown(`${state}: container is in removing state, can't be started`);
  if (status.starting) throw unknown(`${state}: container is already in starting state`);
  container.status = { ...status, starting: true };
  try {
    const { nri, containers } = of.options;
    // In this order: a plugin that is being synchronized may update what would be locked here.
    await nri.shared(() => containers.locked(id, () => start(of, container)));
    container.status = { ...container.status, starting: false };
  } catch (error) {
    const { message } = HullError.from(error);
    of.save(container, {
      state: "exited",
      pid: 0,
      finishedAt: nowNanos(),
      exitCode: startFailed,
      reason: "StartError",
      message,
      starting: false,
    });
    of.live.of(id).markStopped();
    throw error;
  }
}

async function start(of: ContainersContext, container: PodContainer): Promise<void> {
  const { tasks, nri, pods, handlers, onEvent, containers } = of.options;
  const { id, podId, config } = container;
  const pod = pods.exact(podId);
  if (pod === undefined) throw unknown(`sandbox ${JSON.stringify(podId)} not found: not found`);
  if (pod.state !== "ready") throw unknown(`sandbox container ${JSON.stringify(podId)} is not running`);
  const target = config.linux?.securityContext?.namespaceOptions;
  if (target?.pid === NamespaceMode.TARGET) runningTarget(containers, podId, target.targetId);
  const handler = handlers.get(pod.runtimeHandler);
  const live = of.live.of(id);
  const rootfs = live.rootfs ?? (await of.snapshotter(handler.snapshotter).mounts(of.engine, id));
  live.rootfs = undefined;
  const checkpoint = processesOf(of, id);
  const { runtimePath, podsPerShim: groupsPerShim } = handler;
  const task = { id, rootfs, ...namesOf(of, container), runtimePath, checkpoint, groupsPerShim };
  // A shim that isn't ours waits for readers.
  if (!handler.own) streamsOf(of, container);
  let { pid } = await withinLater("failed to create containerd task", tasks.create(of.engine, task));
  let ended: Promise<unknown> | undefined;
  try {
    // Asked for before it runs: its end can't be missed.
    const exit = tasks.wait(of.engine, id);
    ended = exit.catch(() => undefined);
    await withinLater("NRI container start failed", nri.startContainer(pod, container, pid));
    const failure =
      checkpoint === "" ? `failed to start containerd task ${JSON.stringify(id)}` : "failed to restore containerd task";
    // One that is restored has a pid from now on.
    ({ pid } = await withinLater(failure, tasks.start(of.engine, id)));
    of.save(container, { state: "running", pid, startedAt: nowNanos() });
    watchExit(of, container, exit);
  } catch (error) {
    await nri.stopContainer(pod, container);
    // Before it is restored there is nothing to end.
    await deleteTask(of, id, pid === 0 ? undefined : ended);
    live.streams?.close();
    throw error;
  }
  if (checkpoint !== "") await forgetCheckpoint(of, id);
  onEvent(ContainerEventType.CONTAINER_STARTED_EVENT, container);
  await nri.postStartContainer(pod, container);
}

/** Ends and deletes a task that was only made. */
async function deleteTask({ options, engine }: ContainersContext, id: string, ended: Promise<unknown> | undefined) {
  const { tasks, log } = options;
  try {
    if (ended !== undefined) {
      await unlessGone(() => tasks.kill(engine, id, { signal: SIGKILL, all: true }));
      await ended;
    }
    await unlessGone(() => tasks.delete(engine, id));
  } catch (error) {
    log.log("error", "a task that could not be started was not deleted", { id, error: wrapped("", error).message });
  }
}
