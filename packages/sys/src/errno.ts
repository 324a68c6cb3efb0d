/**
 * Linux error numbers: their names, glibc's texts for them, and the class of error each becomes.
 *
 * Numbers: include/uapi/asm-generic/errno-base.h and errno.h of the kernel (the same on x86_64 and aarch64).
 */

import type { Code } from "@hull/errors";
import { HullError } from "@hull/errors";

type Row = readonly [number: number, text: string, code: Code];

const table = {
  EPERM: [1, "operation not permitted", "permissionDenied"],
  ENOENT: [2, "no such file or directory", "notFound"],
  ESRCH: [3, "no such process", "notFound"],
  EINTR: [4, "interrupted system call", "aborted"],
  EIO: [5, "input/output error", "dataLoss"],
  ENXIO: [6, "no such device or address", "failedPrecondition"],
  E2BIG: [7, "argument list too long", "invalidArgument"],
  ENOEXEC: [8, "exec format error", "invalidArgument"],
  EBADF: [9, "bad file descriptor", "failedPrecondition"],
  ECHILD: [10, "no child processes", "notFound"],
  EAGAIN: [11, "resource temporarily unavailable", "unavailable"],
  ENOMEM: [12, "cannot allocate memory", "resourceExhausted"],
  EACCES: [13, "permission denied", "permissionDenied"],
  EFAULT: [14, "bad address", "internal"],
  ENOTBLK: [15, "block device required", "invalidArgument"],
  EBUSY: [16, "device or resource busy", "failedPrecondition"],
  EEXIST: [17, "file exists", "alreadyExists"],
  EXDEV: [18, "invalid cross-device link", "failedPrecondition"],
  ENODEV: [19, "no such device", "failedPrecondition"],
  ENOTDIR: [20, "not a directory", "failedPrecondition"],
  EISDIR: [21, "is a directory", "failedPrecondition"],
  EINVAL: [22, "invalid argument", "invalidArgument"],
  ENFILE: [23, "too many open files in system", "resourceExhausted"],
  EMFILE: [24, "too many open files", "resourceExhausted"],
  ENOTTY: [25, "inappropriate ioctl for device", "invalidArgument"],
  ETXTBSY: [26, "text file busy", "failedPrecondition"],
  EFBIG: [27, "file too large", "outOfRange"],
  ENOSPC: [28, "no space left on device", "resourceExhausted"],
  ESPIPE: [29, "illegal seek", "invalidArgument"],
  EROFS: [30, "read-only file system", "failedPrecondition"],
  EMLINK: [31, "too many links", "resourceExhausted"],
  EPIPE: [32, "broken pipe", "unavailable"],
  ERANGE: [34, "numerical result out of range", "outOfRange"],
  EDEADLK: [35, "resource deadlock avoided", "failedPrecondition"],
  ENAMETOOLONG: [36, "file name too long", "invalidArgument"],
  ENOSYS: [38, "function not implemented", "unimplemented"],
  ENOTEMPTY: [39, "directory not empty", "failedPrecondition"],
  ELOOP: [40, "too many levels of symbolic links", "failedPrecondition"],
  ENODATA: [61, "no data available", "notFound"],
  EPROTO: [71, "protocol error", "internal"],
  EOVERFLOW: [75, "value too large for defined data type", "outOfRange"],
  EUSERS: [87, "too many users", "resourceExhausted"],
  ENOTSOCK: [88, "socket operation on non-socket", "invalidArgument"],
  EDESTADDRREQ: [89, "destination address required", "invalidArgument"],
  EMSGSIZE: [90, "message too long", "invalidArgument"],
  EPROTOTYPE: [91, "protocol wrong type for socket", "invalidArgument"],
  ENOPROTOOPT: [92, "protocol not available", "unimplemented"],
  EOPNOTSUPP: [95, "operation not supported", "unimplemented"],
  EAFNOSUPPORT: [97, "address family not supported by protocol", "unimplemented"],
  EADDRINUSE: [98, "address already in use", "alreadyExists"],
  EADDRNOTAVAIL: [99, "cannot assign requested address", "invalidArgument"],
  ECONNABORTED: [103, "software caused connection abort", "unavailable"],
  ECONNRESET: [104, "connection reset by peer", "unavailable"],
  ENOBUFS: [105, "no buffer space available", "resourceExhausted"],
  EISCONN: [106, "transport endpoint is already connected", "failedPrecondition"],
  ENOTCONN: [107, "transport endpoint is not connected", "failedPrecondition"],
  ETIMEDOUT: [110, "connection timed out", "deadlineExceeded"],
  ECONNREFUSED: [111, "connection refused", "unavailable"],
  EALREADY: [114, "operation already in progress", "failedPrecondition"],
  EINPROGRESS: [115, "operation now in progress", "failedPrecondition"],
  ESTALE: [116, "stale file handle", "failedPrecondition"],
  EUCLEAN: [117, "structure needs cleaning", "dataLoss"],
  EDQUOT: [122, "disk quota exceeded", "resourceExhausted"],
} as const satisfies Record<string, Row>;

/** The name of an error number that hull knows. */
export type ErrnoName = keyof typeof table;

/** Error numbers by name: `errno.EBUSY` is 16. */
export const errno = Object.fromEntries(Object.entries(table).map(([name, [number]]) => [name, number])) as {
  readonly [Name in ErrnoName]: (typeof table)[Name][0];
};

/** What is known of an error number; an unknown one is named by its number. */
export function describeErrno(number: number): { name: string; text: string; code: Code } {
  for (const [name, [candidate, text, code]] of Object.entries(table)) {
    if (candidate === number) return { name, text, code };
  }
  return { name: `errno ${number}`, text: "unknown error", code: "unknown" };
}

/**
 * A system call that failed.
 *
 * Made in the same expression that reads the thread's error number, and that number first, because whatever runs between
 * the call and the reading may change it: `throw new SysError(lastErrno(), "mount", `on "${target}"`)`.
 */
export class SysError extends HullError {
  readonly errno: number;
  readonly errnoName: string;
  readonly syscall: string;

  /** @param detail what the call was about, things in quotes; may be empty. */
  constructor(number: number, syscall: string, detail: string, options?: { cause?: unknown }) {
    const { name, text, code } = describeErrno(number);
    super(code, `${syscall}${detail === "" ? "" : ` ${detail}`}: ${name}: ${text}`, options);
    this.name = "SysError";
    this.errno = number;
    this.errnoName = name;
    this.syscall = syscall;
  }
}

/** True if `thrown` is a system call's failure with one of these error numbers; also for the runtime's own fs errors. */
export function isErrno(thrown: unknown, ...names: ErrnoName[]): boolean {
  if (thrown instanceof SysError) return names.some((name) => errno[name] === thrown.errno);
  if (thrown instanceof Error && "code" in thrown) return names.some((name) => name === thrown.code);
  return false;
}
