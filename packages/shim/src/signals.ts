/** Signals to the processes of a container: by the kernel where it can, by the OCI runtime where only that knows how. */

import { failedPrecondition, HullError, notFound } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { kill as killProcess } from "@hull/sys/process";
import { cgroupPaths, mainDirectory, processesOf } from "./cgroup.ts";
import type { OciRuntime } from "./oci-runtime.ts";
import type { TaskProcess } from "./task-process.ts";

/** The container. */
export interface Signalled {
  readonly id: string;
  readonly init: TaskProcess;
  readonly runtime: OciRuntime;
  /** Contents of /proc/<pid>/cgroup of the first process. */
  readonly cgroup: string;
}

/**
 * Sends a signal to one of a container's processes, or, by the first one, to all of them.
 * @throws NotFound "process already finished"; FailedPrecondition if it was never made
 */
export async function signalProcess(of: Signalled, process: TaskProcess, signal: number, all: boolean): Promise<void> {
  if (process.status === "stopped" || process.reaped) throw alreadyFinished();
  if (process.pid === 0) throw failedPrecondition("process not created");
  if (all && process === of.init) return await signalAll(of, signal);
  // A frozen process takes no signal, not even SIGKILL, in version 1 cgroups: the runtime knows how.
  if (of.init.status === "paused") return await signalByRuntime(of, process, signal, false);
  try {
    // The pid can't mean another process: it is ours to reap, and has not been.
    killProcess(process.pid, signal);
  } catch (error) {
    if (isErrno(error, "ESRCH")) throw alreadyFinished(error);
    throw error;
  }
}

/** Processes that end meanwhile are no failure, but crun gives up at the first of them. */
async function signalAll(of: Signalled, signal: number): Promise<void> {
  try {
    await signalByRuntime(of, of.init, signal, true);
  } catch (error) {
    ignoreNotFound(error);
    // What the first process left behind in a pid namespace that is not its own.
    const directory = mainDirectory(cgroupPaths(of.cgroup));
    for (const pid of directory === undefined ? [] : processesOf(directory)) killUnlessGone(pid, signal);
  }
}

/** Each runtime says in its own words that a process has ended while it was told to kill it: that is not asked of its words. */
async function signalByRuntime(
  { id, runtime }: Signalled,
  process: TaskProcess,
  signal: number,
  all: boolean,
): Promise<void> {
  try {
    await runtime.kill(id, signal, all);
  } catch (error) {
    if (process.hasEnded) throw alreadyFinished(error);
    throw error;
  }
}

function alreadyFinished(cause?: unknown): HullError {
  return notFound("process already finished", { cause });
}

function killUnlessGone(pid: number, signal: number): void {
  try {
    killProcess(pid, signal);
  } catch (error) {
    if (!isErrno(error, "ESRCH")) throw error;
  }
}

/** What isn't there (any more) needs no signal. @throws any other error */
export function ignoreNotFound(error: unknown): void {
  if (!(error instanceof HullError && error.code === "notFound")) throw error;
}
