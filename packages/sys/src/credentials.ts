/**
 * What this process may do: user, groups, capabilities.
 *
 * For a process that was started to give rights up. User and groups change for all its threads (libc sees to that);
 * capabilities and "no new privileges" are the calling thread's, and those that it starts afterwards, so call these before
 * anything that makes the runtime start its helper threads, or for a program that is about to be started.
 */

import { readFileSync } from "node:fs";
import { SysError } from "./errno.ts";
import { asBytes } from "./fd.ts";
import { lastErrno, libc } from "./libc.ts";

const PR_CAPBSET_DROP = 24;
const PR_SET_NO_NEW_PRIVS = 38;
const LINUX_CAPABILITY_VERSION_3 = 0x20080522;

/** Sets groups, group and user, in the order in which the right to do so lasts. */
export function setIdentity({ user, group, groups = [] }: { user: number; group: number; groups?: number[] }): void {
  if (libc.setgroups(groups.length, asBytes(new Uint32Array(groups))) === -1) {
    throw new SysError(lastErrno(), "setgroups", `to ${groups.join(",")}`);
  }
  if (libc.setresgid(group, group, group) === -1) throw new SysError(lastErrno(), "setresgid", `to ${group}`);
  if (libc.setresuid(user, user, user) === -1) throw new SysError(lastErrno(), "setresuid", `to ${user}`);
}

/** No program that this one becomes or starts gets rights by being set-uid or by file capabilities. For good. */
export function setNoNewPrivileges(): void {
  if (libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) === -1)
    throw new SysError(lastErrno(), "prctl", "PR_SET_NO_NEW_PRIVS");
}

/** Three sets of capabilities, each a bit mask by number (include/uapi/linux/capability.h). */
export interface Capabilities {
  readonly effective: bigint;
  readonly permitted: bigint;
  readonly inheritable: bigint;
}

/** The calling thread's capabilities. */
export function capabilities(): Capabilities {
  const data = new Uint32Array(6);
  if (libc.capget(capabilityHeader(), asBytes(data)) === -1) throw new SysError(lastErrno(), "capget", "");
  const mask = (index: number) => BigInt(data[index] ?? 0) | (BigInt(data[index + 3] ?? 0) << 32n);
  return { effective: mask(0), permitted: mask(1), inheritable: mask(2) };
}

/** Sets the calling thread's capabilities. @throws SysError EPERM: more than permitted. */
export function setCapabilities({ effective, permitted, inheritable }: Capabilities): void {
  const masks = [effective, permitted, inheritable];
  const words = [...masks.map((mask) => mask & 0xffffffffn), ...masks.map((mask) => mask >> 32n)];
  if (libc.capset(capabilityHeader(), asBytes(new Uint32Array(words.map(Number)))) === -1) {
    throw new SysError(lastErrno(), "capset", "");
  }
}

/** By number: include/uapi/linux/capability.h. */
const capabilityNames: readonly string[] = (
  "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST " +
  "NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE " +
  "SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM " +
  "BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
  .split(" ")
  .map((name) => `CAP_${name}`);

/** Names (`CAP_…`) of the capabilities that this process has: no container can be given more. */
export function ownCapabilities(): string[] {
  const { effective } = capabilities();
  return capabilityNames.filter((_, number) => (effective >> BigInt(number)) & 1n);
}

function capabilityHeader(): Uint8Array {
  return asBytes(new Uint32Array([LINUX_CAPABILITY_VERSION_3, 0]));
}

/** Takes all capabilities but those in `keep` from what programs started from here can ever get. For good. */
export function limitBoundingSet(keep: bigint): void {
  const last = Number(readFileSync("/proc/sys/kernel/cap_last_cap", "utf8"));
  for (let capability = 0; capability <= last; capability++) {
    if ((keep >> BigInt(capability)) & 1n) continue;
    if (libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) === -1) {
      throw new SysError(lastErrno(), "prctl", `PR_CAPBSET_DROP ${capability}`);
    }
  }
}

/** A mask of all capabilities with these numbers. */
export function capabilityMask(numbers: readonly number[]): bigint {
  return numbers.reduce((mask, number) => mask | (1n << BigInt(number)), 0n);
}
