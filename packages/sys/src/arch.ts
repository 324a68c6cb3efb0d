/**
 * Numbers that differ between processor architectures.
 *
 * Sources: the kernel's arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h (aarch64),
 * include/uapi/asm-generic/fcntl.h and arch/arm64/include/uapi/asm/fcntl.h. Calls since Linux 5.1 have one number everywhere.
 */

import { unimplemented } from "@hull/errors";

const tables = {
  x64: {
    syscalls: { getdents64: 217, renameat2: 316 },
    O_DIRECT: 0o40000,
    O_DIRECTORY: 0o200000,
    O_NOFOLLOW: 0o400000,
    /** struct epoll_event is packed on x86_64 alone. */
    epollEventSize: 12,
  },
  arm64: {
    syscalls: { getdents64: 61, renameat2: 276 },
    O_DIRECT: 0o200000,
    O_DIRECTORY: 0o40000,
    O_NOFOLLOW: 0o100000,
    epollEventSize: 16,
  },
};

function architecture() {
  if (process.arch === "x64" || process.arch === "arm64") return tables[process.arch];
  throw unimplemented(`hull does not know the system calls of "${process.arch}": use x86_64 or aarch64`);
}

/** The table of the processor we run on. */
export const arch = architecture();

/** Numbers of the calls that go through syscall(2). */
export const syscalls = {
  ...arch.syscalls,
  pidfd_send_signal: 424,
  open_tree: 428,
  move_mount: 429,
  fsopen: 430,
  fsconfig: 431,
  fsmount: 432,
  pidfd_open: 434,
  close_range: 436,
  openat2: 437,
  mount_setattr: 442,
} as const;
