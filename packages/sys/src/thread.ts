/** Threads that do nothing but be there: for as long as one is, `/proc/<its id>` shows the namespaces that it was started in. */

import { existsSync } from "node:fs";
import { internal } from "@hull/errors";
import { SysError } from "./errno.ts";
import { addressOf, libc } from "./libc.ts";
import { cString } from "./strings.ts";

/** A thread that waits until it is disposed of. */
export interface WaitingThread extends Disposable {
  /** Its id, as a process's. It ends with this process at the latest. */
  readonly id: number;
  /** Whether it is still there. */
  isAlive(): boolean;
}

const SIG_SETMASK = 2;
/** More than the `pthread_attr_t`, `sigset_t` and `sem_t` of any libc take. */
const roomyBytes = 128;
/** What waiting takes, and libc's own records of a thread. */
const stackBytes = 64 * 1024;

/**
 * Starts a thread in the calling thread's namespaces (see `inNamespaces`), which waits and hears no signals. It costs the kernel's memory
 * for a thread and a page or two of stack.
 *
 * @throws SysError EAGAIN: there are too many threads.
 */
export function startWaitingThread(): WaitingThread {
  const wait = libc.dlsym(null, cString("sem_wait"));
  if (wait === 0) throw internal("libc has no sem_wait");
  const semaphore = new Uint8Array(roomyBytes);
  libc.sem_init(semaphore, 0, 0);
  const thread = new BigUint64Array(1);
  const made = withoutSignals(() => {
    const attributes = new Uint8Array(roomyBytes);
    libc.pthread_attr_init(attributes);
    libc.pthread_attr_setstacksize(attributes, stackBytes);
    return libc.pthread_create(thread, attributes, wait, addressOf(semaphore));
  });
  if (made !== 0) throw new SysError(made, "pthread_create", "a waiting thread");
  const handle = thread[0] ?? 0n;
  const id = idOf(handle);
  let ended = false;
  return {
    id,
    isAlive: () => !ended && existsSync(`/proc/self/task/${id}`),
    [Symbol.dispose]() {
      if (ended) return;
      ended = true;
      libc.sem_post(semaphore);
      // It has nothing to do but end; joining it, the semaphore isn't used any more.
      libc.pthread_join(handle, null);
    },
  };
}

/** A new thread has its maker's mask: no handler is to run on one that isn't the runtime's. */
function withoutSignals<T>(action: () => T): T {
  const all = new Uint8Array(roomyBytes).fill(0xff);
  const before = new Uint8Array(roomyBytes);
  libc.pthread_sigmask(SIG_SETMASK, all, before);
  try {
    return action();
  } finally {
    libc.pthread_sigmask(SIG_SETMASK, before, null);
  }
}

/** The kernel's id of a thread: its processor clock's holds it, inverted, above three bits (include/linux/posix-timers.h). */
function idOf(handle: bigint): number {
  const clock = new Int32Array(1);
  const failure = libc.pthread_getcpuclockid(handle, new Uint8Array(clock.buffer));
  if (failure !== 0) throw new SysError(failure, "pthread_getcpuclockid", "a waiting thread");
  return ~((clock[0] ?? 0) >> 3);
}
