/** Processes: their ends, signals, attributes, and what /proc tells of them. */

import { readFileSync, writeFileSync } from "node:fs";
import { dataLoss, invalidArgument, notFound } from "@hull/errors";
import { syscalls } from "./arch.ts";
import { errno, isErrno, SysError } from "./errno.ts";
import { asBytes } from "./fd.ts";
import { lastErrno, libc } from "./libc.ts";
import { signals } from "./signals.ts";
import { cString } from "./strings.ts";

/** prctl(2)'s options: include/uapi/linux/prctl.h. */
const PR_SET_PDEATHSIG = 1;
const PR_SET_DUMPABLE = 4;
const PR_SET_NAME = 15;
const PR_SET_CHILD_SUBREAPER = 36;

function prctl(option: number, value: number, what: string): void {
  if (libc.prctl(option, value, 0, 0, 0) === -1) throw new SysError(lastErrno(), "prctl", what);
}

/** Makes this process the parent of descendants whose own parent ends, in place of init. */
export function becomeSubreaper(on = true): void {
  prctl(PR_SET_CHILD_SUBREAPER, on ? 1 : 0, "PR_SET_CHILD_SUBREAPER");
}

/**
 * Has the kernel send this process a signal when its parent ends; 0 for none. "Parent" is the thread that started it.
 * A parent that ended before the call sends nothing: compare `process.ppid` afterwards.
 */
export function setParentDeathSignal(signal: number): void {
  prctl(PR_SET_PDEATHSIG, signal, `PR_SET_PDEATHSIG ${signal}`);
}

/** Sets whether other processes of the same user may trace this one, read its memory, and open its /proc files. */
export function setDumpable(on: boolean): void {
  prctl(PR_SET_DUMPABLE, on ? 1 : 0, "PR_SET_DUMPABLE");
}

/** Names the calling thread, as ps and top show it; the kernel keeps 15 bytes. */
export function setProcessName(name: string): void {
  if (libc.prctlName(PR_SET_NAME, cString(name), 0, 0, 0) === -1)
    throw new SysError(lastErrno(), "prctl", "PR_SET_NAME");
}

/** How a process ended. */
export type ExitStatus =
  | { readonly kind: "exited"; readonly code: number }
  | { readonly kind: "signaled"; readonly signal: number; readonly coreDumped: boolean };

/** The status as a shell and containerd give it: the exit code, or 128 and the signal's number. */
export function exitCodeOf(status: ExitStatus): number {
  return status.kind === "exited" ? status.code : 128 + status.signal;
}

/** Reads the status word of wait(2). */
export function decodeWaitStatus(status: number): ExitStatus {
  const signal = status & 0x7f;
  if (signal === 0) return { kind: "exited", code: (status >> 8) & 0xff };
  return { kind: "signaled", signal, coreDumped: (status & 0x80) !== 0 };
}

const WNOHANG = 1;

/**
 * Takes the exit status of one ended child (own or adopted), by pid; never waits.
 *
 * Only named pids: waiting for any child would take the statuses of the children that the runtime itself started.
 *
 * @returns undefined while it still runs.
 * @throws SysError ECHILD: not a child of ours, or its status was taken already.
 */
export function reap(pid: number): ExitStatus | undefined {
  if (pid <= 0) throw invalidArgument(`pid ${pid} does not name one process`);
  const status = new Int32Array(1);
  const bytes = asBytes(status);
  for (;;) {
    const ended = libc.waitpid(pid, bytes, WNOHANG);
    if (ended === pid) return decodeWaitStatus(status[0] ?? 0);
    if (ended === 0) return undefined;
    const error = lastErrno();
    if (error !== errno.EINTR) throw new SysError(error, "waitpid", `of ${pid}`);
  }
}

/** A signal by name or number. */
export type Signal = NodeJS.Signals | number;

/** A signal's number; `0` only probes. @throws invalidArgument for a name that Linux doesn't have. */
export function signalNumber(signal: Signal): number {
  const number = typeof signal === "number" ? signal : signals.get(signal);
  if (number === undefined || !Number.isInteger(number) || number < 0 || number > 64)
    throw invalidArgument(`"${signal}" is not a signal`);
  return number;
}

/** Sends a signal to a process, or to a process group by its negative id. @throws SysError ESRCH: there is none. */
export function kill(pid: number, signal: Signal): void {
  const number = signalNumber(signal);
  if (libc.kill(pid, number) === -1) throw new SysError(lastErrno(), "kill", `${pid} with signal ${number}`);
}

/** The process group of a process; 0 for this one. */
export function processGroup(pid: number): number {
  const group = libc.getpgid(pid);
  if (group === -1) throw new SysError(lastErrno(), "getpgid", `of ${pid}`);
  return group;
}

/** Moves a process (0: this one) into a process group (0: one of its own). */
export function setProcessGroup(pid: number, group: number): void {
  if (libc.setpgid(pid, group) === -1) throw new SysError(lastErrno(), "setpgid", `of ${pid} to ${group}`);
}

/** Makes this process the leader of a new session without a terminal. @throws SysError EPERM: it leads a group. */
export function newSession(): number {
  const id = libc.setsid();
  if (id === -1) throw new SysError(lastErrno(), "setsid", "");
  return id;
}

/** A descriptor of a process, which never comes to mean another one that gets the same pid. */
export function openProcess(pid: number): number {
  const fd = libc.pidfd_open(syscalls.pidfd_open, pid, 0);
  if (fd === -1) throw new SysError(lastErrno(), "pidfd_open", `of ${pid}`);
  return fd;
}

/** Sends a signal by a process's descriptor. @throws SysError ESRCH: it has ended and been waited for. */
export function signalProcess(pidfd: number, signal: Signal): void {
  const number = signalNumber(signal);
  if (libc.pidfd_send_signal(syscalls.pidfd_send_signal, pidfd, number, null, 0) === -1) {
    throw new SysError(lastErrno(), "pidfd_send_signal", `${number}`);
  }
}

/** What the kernel says of a process. */
export interface ProcessStat {
  readonly pid: number;
  /** The program's name as the kernel keeps it: up to 15 bytes. */
  readonly name: string;
  /** R, S, D, Z, T, t, X, I … */
  readonly state: string;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** Processor time used, in clock ticks (100 a second). */
  readonly userTicks: number;
  readonly systemTicks: number;
  readonly threads: number;
  /** When it started, in clock ticks since the machine did: tells two processes of the same pid apart. */
  readonly startTicks: number;
}

/** What /proc/<pid>/stat says. @throws notFound if there is no such process. */
export function processStat(pid: number): ProcessStat {
  try {
    return parseProcessStat(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH")) throw notFound(`process ${pid} does not exist`, { cause: error });
    throw error;
  }
}

/** Reads the text of a stat file (proc(5)). The name in it may hold blanks and parentheses. */
export function parseProcessStat(text: string): ProcessStat {
  const opening = text.indexOf("(");
  const closing = text.lastIndexOf(")");
  const fields = text
    .slice(closing + 2)
    .trim()
    .split(" ");
  if (opening === -1 || closing < opening || fields.length < 20) throw dataLoss(`"${text}" is not a process's stat`);
  const at = (field: number) => Number(fields[field - 3]);
  return {
    pid: Number(text.slice(0, opening)),
    name: text.slice(opening + 1, closing),
    state: fields[0] ?? "",
    parent: at(4),
    group: at(5),
    session: at(6),
    userTicks: at(14),
    systemTicks: at(15),
    threads: at(20),
    startTicks: at(22),
  };
}

/** Sets how readily the kernel kills a process when memory runs out: -1000 never … 1000 first. */
export function setOomScoreAdjust(pid: number | "self", value: number): void {
  writeFileSync(`/proc/${pid}/oom_score_adj`, String(value));
}

/** How readily the kernel kills a process when memory runs out. */
export function oomScoreAdjust(pid: number | "self"): number {
  return Number(readFileSync(`/proc/${pid}/oom_score_adj`, "utf8"));
}

/** Resources with limits: include/uapi/asm-generic/resource.h. */
export const resources = {
  RLIMIT_CPU: 0,
  RLIMIT_FSIZE: 1,
  RLIMIT_DATA: 2,
  RLIMIT_STACK: 3,
  RLIMIT_CORE: 4,
  RLIMIT_RSS: 5,
  RLIMIT_NPROC: 6,
  RLIMIT_NOFILE: 7,
  RLIMIT_MEMLOCK: 8,
  RLIMIT_AS: 9,
  RLIMIT_LOCKS: 10,
  RLIMIT_SIGPENDING: 11,
  RLIMIT_MSGQUEUE: 12,
  RLIMIT_NICE: 13,
  RLIMIT_RTPRIO: 14,
  RLIMIT_RTTIME: 15,
} as const;

/** A limit's current and highest value; 2⁶⁴-1 is none. */
export interface ResourceLimit {
  readonly soft: bigint;
  readonly hard: bigint;
}

/** Reads a limit of a process (0: this one), and sets it if one is given. @returns what it was before. */
export function resourceLimit(pid: number, resource: keyof typeof resources, limit?: ResourceLimit): ResourceLimit {
  const old = new BigUint64Array(2);
  const wanted = limit === undefined ? null : asBytes(new BigUint64Array([limit.soft, limit.hard]));
  if (libc.prlimit(pid, resources[resource], wanted, asBytes(old)) === -1) {
    throw new SysError(lastErrno(), "prlimit", `${resource} of ${pid}`);
  }
  return { soft: old[0] ?? 0n, hard: old[1] ?? 0n };
}

/** Namespaces as unshare(2) and setns(2) name them. */
export const namespaceFlags = {
  time: 0x80,
  mount: 0x20000,
  cgroup: 0x2000000,
  uts: 0x4000000,
  ipc: 0x8000000,
  user: 0x10000000,
  pid: 0x20000000,
  network: 0x40000000,
} as const;

/**
 * Gives the calling thread namespaces of its own. Most hold for the calling thread alone, and the runtime has others:
 * only for a process that was started for it and will do nothing else.
 */
export function unshare(flags: number): void {
  if (libc.unshare(flags) === -1) throw new SysError(lastErrno(), "unshare", `0x${flags.toString(16)}`);
}

/** Moves the calling thread into the namespace of a descriptor; the same caution as for `unshare`. */
export function enterNamespace(fd: number, kind = 0): void {
  if (libc.setns(fd, kind) === -1) throw new SysError(lastErrno(), "setns", `descriptor ${fd}`);
}

/** Makes `path` the root for this process, all threads, and changes into it. */
export function changeRoot(path: string): void {
  if (libc.chroot(cString(path)) === -1) throw new SysError(lastErrno(), "chroot", `"${path}"`);
  process.chdir("/");
}

/** pivot_root(2). */
export function pivotRoot(newRoot: string, putOld: string): void {
  if (libc.pivot_root(cString(newRoot), cString(putOld)) === -1) {
    throw new SysError(lastErrno(), "pivot_root", `"${newRoot}" with "${putOld}"`);
  }
}

/** Closes every descriptor from `first` on. For a process that was just started, before it opens any of its own. */
export function closeFrom(first: number): void {
  if (libc.close_range(syscalls.close_range, first, 0xffffffff, 0) === -1) {
    throw new SysError(lastErrno(), "close_range", `from ${first}`);
  }
}
