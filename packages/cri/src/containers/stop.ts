import { nowNanos } from "@hull/api/timestamp";
import type { Exit } from "@hull/engine/runtime/index";
import { unlessGone } from "@hull/engine/unless-gone";
import { isCode, unknown } from "@hull/errors";
import { signalOf } from "@hull/sys/signals";
import type { PodContainer } from "../model.ts";
import { withinLater } from "../wrap.ts";
import type { ContainersContext } from "./context.ts";
import { settleExit, unknownExit } from "./exit.ts";

const SIGKILL = 9;

/**
 * Stops a container: asks it by its signal, once however often this is called, and kills it after `timeoutMs`. One that doesn't run is fine.
 * @throws Canceled when the caller leaves; what the runtime says of a signal that it can't send
 */
export async function stopContainer(
  of: ContainersContext,
  container: PodContainer,
  timeoutMs: number,
  signal: AbortSignal = of.engine.signal,
): Promise<void> {
  const { tasks } = of.options;
  const { id, status } = container;
  if (status.state === "unknown") return await stopUnknown(of, container);
  if (status.state !== "running") return;
  const live = of.live.of(id);
  if (timeoutMs > 0) {
    if (!live.asked) {
      live.asked = true;
      const number = stopSignalOf(container);
      await withinLater(
        `failed to stop container ${JSON.stringify(id)}`,
        unlessGone(() => tasks.kill(of.engine, id, { signal: number })),
      );
    }
    if (await within(live.stopped, timeoutMs, signal)) return;
  }
  await withinLater(
    `failed to kill container ${JSON.stringify(id)}`,
    unlessGone(() => tasks.kill(of.engine, id, { signal: SIGKILL })),
  );
  await withinLater(
    `an error occurs during waiting for container ${JSON.stringify(id)} to be killed: wait container ${JSON.stringify(id)}`,
    within(live.stopped, undefined, signal),
  );
}

/** @throws Unknown for a signal that there isn't */
function stopSignalOf({ stopSignal }: PodContainer): number {
  const name = stopSignal === "" ? "SIGTERM" : stopSignal;
  const number = signalOf(name);
  if (number === undefined)
    throw unknown(`failed to parse stop signal ${JSON.stringify(name)}: invalid signal: ${name}`);
  return number;
}

/** Nothing is known of its task: whatever there is, is ended. */
async function stopUnknown(of: ContainersContext, container: PodContainer): Promise<void> {
  const { tasks } = of.options;
  let exit: Exit | undefined;
  try {
    await tasks.kill(of.engine, container.id, { signal: SIGKILL, all: true });
    exit = await tasks.wait(of.engine, container.id);
  } catch (error) {
    if (!isCode(error, "notFound")) throw error;
  }
  await settleExit(of, container, exit ?? { pid: 0, exitStatus: unknownExit, exitedAt: nowNanos() });
}

/** True once `stopped`, false after the time. @throws the signal's reason when that aborts */
async function within(stopped: Promise<void>, timeoutMs: number | undefined, signal: AbortSignal): Promise<boolean> {
  signal.throwIfAborted();
  const over = Promise.withResolvers<boolean>();
  const timer =
    timeoutMs === undefined ? undefined : setTimeout(() => over.resolve(false), Math.min(timeoutMs, 2 ** 31 - 1));
  const abort = (): void => over.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([stopped.then(() => true), over.promise]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}
