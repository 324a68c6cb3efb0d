/**
 * Waiting by event for what the runtime can't watch itself: a process's end by its descriptor, a socket that is to bring
 * descriptors, a terminal, an inotify queue.
 */

import { canceled } from "@hull/errors";
import { readiness } from "#readiness";
import { close } from "./fd.ts";
import { openProcess } from "./process.ts";
import type { Wait } from "./readiness/index.ts";

const EPOLLIN = 1;
const EPOLLOUT = 4;

/** How to wait. */
export interface WaitOptions {
  /** Gives up: the promise is rejected with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Whether waiting keeps the process from ending by itself. Default: true. */
  readonly keepAlive?: boolean;
}

/**
 * Waits until reading (or writing) would not block, also because of an end or an error. `fd` stays open, and the caller's.
 *
 * @throws SysError EPERM for a regular file, which is always ready; canceled.
 */
export async function ready(fd: number, side: "read" | "write", options: WaitOptions = {}): Promise<void> {
  const { signal, keepAlive = true } = options;
  if (signal?.aborted) throw canceled(`waiting for descriptor ${fd} was canceled`, { cause: signal.reason });
  const wait = await readiness.wait(fd, side === "read" ? EPOLLIN : EPOLLOUT, keepAlive);
  if (signal?.aborted) wait.giveUp();
  const waits = signal === undefined ? undefined : waitsOf(signal);
  waits?.add(wait);
  try {
    await wait.settled;
  } finally {
    waits?.delete(wait);
  }
  if (signal?.aborted) throw canceled(`waiting for descriptor ${fd} was canceled`, { cause: signal.reason });
}

/** The waits that a signal ends. It has one listener for all that come and go: adding one to a signal takes as long as a wait. */
const waitsBySignal = new WeakMap<AbortSignal, Set<Wait>>();

function waitsOf(signal: AbortSignal): Set<Wait> {
  const known = waitsBySignal.get(signal);
  if (known !== undefined) return known;
  const waits = new Set<Wait>();
  waitsBySignal.set(signal, waits);
  const giveUp = () => {
    for (const wait of waits) wait.giveUp();
  };
  signal.addEventListener("abort", giveUp, { once: true });
  return waits;
}

/**
 * Waits until a process has ended: any process, not only a child. A child's status is then there for `reap`.
 *
 * @param pid or a descriptor from `openProcess`, which can't be mistaken for a later process of the same pid.
 * @throws SysError ESRCH if there is none; canceled.
 */
export async function processEnd(
  process: number | { readonly pidfd: number },
  options: WaitOptions = {},
): Promise<void> {
  if (typeof process !== "number") return ready(process.pidfd, "read", options);
  const pidfd = openProcess(process);
  try {
    await ready(pidfd, "read", options);
  } finally {
    close(pidfd);
  }
}
