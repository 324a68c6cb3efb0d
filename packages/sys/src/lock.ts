/** Advisory locks on whole files, which end with the process that holds them: flock(2). */

import { readFileSync } from "node:fs";
import { errno, SysError } from "./errno.ts";
import { close, open, openFlags } from "./fd.ts";
import { lastErrno, libc } from "./libc.ts";

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;

/**
 * Takes an advisory lock on an open file without waiting; the lock goes with the last copy of the descriptor.
 *
 * @returns false if another open file holds a lock that excludes this one.
 */
export function tryLock(fd: number, kind: "exclusive" | "shared" = "exclusive"): boolean {
  if (libc.flock(fd, (kind === "exclusive" ? LOCK_EX : LOCK_SH) | LOCK_NB) === 0) return true;
  const error = lastErrno();
  if (error === errno.EAGAIN) return false;
  throw new SysError(error, "flock", `descriptor ${fd}`);
}

/** Takes the lock for this open file alone, and waits for it in the thread: for processes that have nothing else to do. */
export function lock(fd: number): void {
  while (libc.flock(fd, LOCK_EX) === -1) {
    const error = lastErrno();
    if (error !== errno.EINTR) throw new SysError(error, "flock", `descriptor ${fd}`);
  }
}

/** Gives the lock up early. */
export function unlock(fd: number): void {
  if (libc.flock(fd, LOCK_UN) === -1) throw new SysError(lastErrno(), "flock", `descriptor ${fd}`);
}

/**
 * The pid of the process that holds a flock lock on `path`, as the kernel tells it in /proc/locks (proc(5)); undefined if
 * nobody does or its pid is not visible from here.
 */
export function lockOwner(path: string): number | undefined {
  const fd = open(path, openFlags.path);
  try {
    const { ino, mnt } = descriptorInfo(fd);
    for (const line of readFileSync("/proc/locks", "utf8").split("\n")) {
      const [, kind, , , pid, place] = line.trim().split(/\s+/);
      if (kind !== "FLOCK" || place === undefined) continue;
      // The device here is the file system's own, which for btrfs and overlay is not stat's: the mount's line has it.
      if (place.endsWith(`:${ino}`) && (mnt === undefined || sameDevice(place, mnt)) && Number(pid) > 0)
        return Number(pid);
    }
    return undefined;
  } finally {
    close(fd);
  }
}

function descriptorInfo(fd: number): { ino: string; mnt: string | undefined } {
  const text = readFileSync(`/proc/self/fdinfo/${fd}`, "utf8");
  const ino = /^ino:\s*(\d+)/m.exec(text)?.[1] ?? "";
  const mountId = /^mnt_id:\s*(\d+)/m.exec(text)?.[1];
  const line = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .find((candidate) => candidate.startsWith(`${mountId} `));
  return { ino, mnt: line?.split(" ")[2] };
}

function sameDevice(place: string, majorMinor: string): boolean {
  const [major = "", minor = ""] = place.split(":");
  return `${Number.parseInt(major, 16)}:${Number.parseInt(minor, 16)}` === majorMinor;
}
