/**
 * The seam to whatever tells that a descriptor is ready: the runtime's loop under Bun, a thread of its own elsewhere. Which one it is
 * `package.json` says (`#readiness`).
 */

/** A wait that has begun. */
export interface Wait {
  /** Resolves when the descriptor is ready, or the wait was given up. */
  readonly settled: Promise<void>;
  giveUp(): void;
}

export interface Readiness {
  /**
   * Waits for a descriptor, which stays the caller's and open.
   * @param events of epoll_ctl(2)
   * @param keepAlive whether waiting keeps the process from ending
   * @throws SysError EPERM for what is always ready
   */
  wait(fd: number, events: number, keepAlive: boolean): Promise<Wait>;
}
