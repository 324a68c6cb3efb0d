/**
 * Waiting by event for what the runtime can't watch itself: a process's end by its descriptor, a socket that is to bring
 * descriptors, a terminal, an inotify queue.
 *
 * How: the descriptor is put into an epoll set of its own, and that set, which is itself a pollable descriptor, is given to
 * the runtime's loop as if it were a connection. When the set becomes readable the loop tries to receive from it, learns
 * that it isn't a socket (ENOTSOCK), closes it and says so; that is the event. No thread, no polling, any descriptor.
 */

import { canceled } from "@hull/errors";
import { arch } from "./arch.ts";
import { SysError } from "./errno.ts";
import { close } from "./fd.ts";
import { lastErrno, libc } from "./libc.ts";
import { openProcess } from "./process.ts";

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLLIN = 1;
const EPOLLOUT = 4;

// The runtime's types know this form for servers only; the runtime itself takes it here as well.
const adopt = Bun.connect as unknown as (options: Bun.FdSocketOptions) => Promise<Bun.Socket>;

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
  const set = epollSetOf(fd, side === "read" ? EPOLLIN : EPOLLOUT);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let aborted = false;
  const socket = await adopt({
    fd: set,
    socket: {
      open(opened) {
        if (!keepAlive) opened.unref();
      },
      data() {},
      error() {},
      close() {
        if (aborted) reject(canceled(`waiting for descriptor ${fd} was canceled`, { cause: signal?.reason }));
        else resolve();
      },
    },
  });
  const abort = () => {
    aborted = true;
    socket.terminate();
  };
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort, { once: true });
  try {
    await promise;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

/** struct epoll_event of epoll_ctl(2): the events, then 8 bytes of our own that nobody reads. */
function epollSetOf(fd: number, events: number): number {
  const set = libc.epoll_create1(EPOLL_CLOEXEC);
  if (set === -1) throw new SysError(lastErrno(), "epoll_create1", "");
  const event = new Uint8Array(arch.epollEventSize);
  event[0] = events;
  if (libc.epoll_ctl(set, EPOLL_CTL_ADD, fd, event) === -1) {
    const error = lastErrno();
    close(set);
    throw new SysError(error, "epoll_ctl", `descriptor ${fd}`);
  }
  return set;
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
