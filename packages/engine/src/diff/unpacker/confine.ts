/** Shuts the process into the target. */

import { readFileSync } from "node:fs";
import {
  capabilities,
  capabilityMask,
  limitBoundingSet,
  setCapabilities,
  setNoNewPrivileges,
} from "@hull/sys/credentials";
import { isErrno } from "@hull/sys/errno";
import { changeRoot, setDumpable } from "@hull/sys/process";

/**
 * What making the files of a layer needs (include/uapi/linux/capability.h). SYS_ADMIN is there for extended attributes of the
 * classes "trusted" (overlayfs's marks are such) and "security" alone.
 */
export const makingFiles = {
  CHOWN: 0,
  DAC_OVERRIDE: 1,
  FOWNER: 3,
  FSETID: 4,
  SYS_ADMIN: 21,
  MKNOD: 27,
  SETFCAP: 31,
} as const;

/** What reading everybody's files needs. SYS_ADMIN is there for overlayfs's marks alone. */
export const readingFiles = { DAC_READ_SEARCH: 2, SYS_ADMIN: 21 } as const;

/**
 * Makes `directory` the root, and gives up every right but those. No path leads out any more; descriptors that are open stay.
 */
export function confine(directory: string, rights: Readonly<Record<string, number>>): void {
  const keep = capabilityMask(Object.values(rights));
  const { permitted } = capabilities();
  limitBounds(keep);
  changeRoot(directory);
  const left = permitted & keep;
  setCapabilities({ effective: left, permitted: left, inheritable: 0n });
  setNoNewPrivileges();
  setDumpable(false);
}

function limitBounds(keep: bigint): void {
  try {
    limitBoundingSet(keep);
  } catch (error) {
    // Whoever lacks SETPCAP has nothing to give up: no program is started from here, and none could get rights.
    if (!isErrno(error, "EPERM")) throw error;
  }
}

/** True in a user namespace that isn't the first one: device nodes can't be made there (user_namespaces(7)). */
export function inUserNamespace(): boolean {
  return !/^\s*0\s+0\s+4294967295\s*$/.test(readFileSync("/proc/self/uid_map", "utf8"));
}
