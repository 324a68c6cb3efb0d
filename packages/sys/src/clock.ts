/** The kernel's clocks. */

import { SysError } from "./errno.ts";
import { lastErrno, libc } from "./libc.ts";

/** include/uapi/linux/time.h */
const CLOCK_MONOTONIC = 1;

/** CLOCK_MONOTONIC in nanoseconds, which all processes of the machine share; the runtime's own count from its start. */
export function monotonicNanos(): bigint {
  const spec = new BigUint64Array(2);
  if (libc.clock_gettime(CLOCK_MONOTONIC, spec) === -1)
    throw new SysError(lastErrno(), "clock_gettime", "CLOCK_MONOTONIC");
  const [seconds = 0n, nanos = 0n] = spec;
  return seconds * 1_000_000_000n + nanos;
}
