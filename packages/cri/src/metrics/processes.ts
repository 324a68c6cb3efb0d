import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { type Cgroup, cgroupProcesses } from "@hull/sys/cgroup";
import { isErrno } from "@hull/sys/errno";
import type { Pace } from "../pace.ts";

/** What the processes of a control group, and of those below it, have open. */
export interface ProcessUse {
  readonly count: number;
  readonly files: number;
  readonly sockets: number;
  /** Soft limit of open files of the first process; 2^64 - 1: none. Undefined if it is gone. */
  readonly openFilesLimit: bigint | undefined;
}

/** Counts them, in turns with other work. @param first the container's first process */
export async function processesOf(cgroup: Cgroup, first: number, pace: Pace): Promise<ProcessUse> {
  const pids = cgroupProcesses(cgroup);
  let files = 0;
  let sockets = 0;
  for (const pid of pids) {
    const directory = `/proc/${pid}/fd`;
    for (const fd of unlessGone(() => readdirSync(directory)) ?? []) {
      files++;
      if (unlessGone(() => readlinkSync(`${directory}/${fd}`))?.startsWith("socket:")) sockets++;
      if (pace.due) await pace.rest();
    }
  }
  return { count: pids.length, files, sockets, openFilesLimit: openFilesLimit(first) };
}

function openFilesLimit(pid: number): bigint | undefined {
  const limits = unlessGone(() => readFileSync(`/proc/${pid}/limits`, "latin1"));
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(limits ?? "")?.[1];
  if (soft === undefined) return undefined;
  return soft === "unlimited" ? 2n ** 64n - 1n : BigInt(soft);
}

function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH", "EACCES")) return undefined;
    throw error;
  }
}
