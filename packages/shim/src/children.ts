/**
 * Ends of processes that this one has adopted. The OCI runtime starts a container's process and goes; as subreaper the shim becomes
 * its parent and is sent SIGCHLD when it ends.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { nowNanos } from "@hull/api/timestamp";
import type { ExitStatus, ProcessStat } from "@hull/sys/process";
import { becomeSubreaper, exitCodeOf, processStat, reap } from "@hull/sys/process";

/** How an adopted process ended. */
export interface ProcessExit {
  /** 128 + signal for a signal */
  status: number;
  /** nanoseconds since 1970 */
  at: bigint;
}

/** How long after an end those are looked for that nobody watches. */
const strayMs = 1000;

/** Watches adopted processes by their pids. One per process of ours: it owns SIGCHLD. */
export class Children {
  readonly #watched = new Map<number, (exit: ProcessExit) => void>();
  /** Works in which a process is started whose pid is not known yet. */
  #expecting = 0;
  /** Processes that the runtime (Bun) started and waits for itself. */
  readonly #foreign = new Set<number>();
  #strayTimer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    becomeSubreaper();
    process.on("SIGCHLD", () => {
      for (const pid of [...this.#watched.keys()]) this.#take(pid);
      this.#lookForStrays();
    });
  }

  /**
   * The end of an adopted process. If its pid is learned within `expecting`, its status is still there however quick it was.
   */
  exitOf(pid: number): Promise<ProcessExit> {
    const { promise, resolve } = Promise.withResolvers<ProcessExit>();
    this.#watched.set(pid, resolve);
    this.#take(pid);
    return promise;
  }

  /** Does work in which a process is started whose pid is learned, and given to `exitOf`, before the work is over. */
  async expecting<T>(work: () => Promise<T>): Promise<T> {
    this.#expecting++;
    try {
      return await work();
    } finally {
      this.#expecting--;
    }
  }

  /** Runs a command that Bun itself waits for. @returns its exit code */
  async run(start: () => Bun.Subprocess): Promise<number> {
    const command = start();
    this.#foreign.add(command.pid);
    try {
      return await command.exited;
    } finally {
      this.#foreign.delete(command.pid);
    }
  }

  /** Others that were adopted, such as children of a process in the host's pid namespace, would stay as zombies. */
  #lookForStrays(): void {
    if (this.#strayTimer !== undefined) return;
    this.#strayTimer = setTimeout(() => {
      this.#strayTimer = undefined;
      // Whose pid may be asked for in a moment is no stray.
      if (this.#expecting > 0) return this.#lookForStrays();
      for (const pid of adoptedZombies()) if (!this.#watched.has(pid) && !this.#foreign.has(pid)) tryReap(pid);
    }, strayMs);
    this.#strayTimer.unref();
  }

  #take(pid: number): void {
    const status = tryReap(pid);
    if (status === undefined) return;
    const resolve = this.#watched.get(pid);
    this.#watched.delete(pid);
    resolve?.({ status: exitCodeOf(status), at: nowNanos() });
  }
}

function tryReap(pid: number): ExitStatus | undefined {
  try {
    return reap(pid);
  } catch {
    // Not a child (yet): the runtime that started it is still its parent.
    return undefined;
  }
}

/** Our children that have ended and were not waited for. */
function adoptedZombies(): number[] {
  // Kernels without CONFIG_PROC_CHILDREN don't list a thread's children.
  const listed = existsSync(`/proc/self/task/${process.pid}/children`);
  return (listed ? listedChildren() : scannedChildren()).filter(isZombie);
}

function listedChildren(): number[] {
  return readdirSync("/proc/self/task").flatMap((thread) => childrenOf(thread).split(" ").filter(Boolean).map(Number));
}

function childrenOf(thread: string): string {
  try {
    return readFileSync(`/proc/self/task/${thread}/children`, "latin1").trim();
  } catch {
    return ""; // the thread has ended
  }
}

/** Our children, found by asking every process for its parent. */
export function scannedChildren(): number[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => statOf(pid)?.parent === process.pid);
}

function isZombie(pid: number): boolean {
  return statOf(pid)?.state === "Z";
}

function statOf(pid: number): ProcessStat | undefined {
  try {
    return processStat(pid);
  } catch {
    return undefined; // gone
  }
}
