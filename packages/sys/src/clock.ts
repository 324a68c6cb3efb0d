/** The kernel's clocks. */

import { SysError } from "./errno.ts";
import { asBytes } from "./fd.ts";
import { lastErrno, libc } from "./libc.ts";

/** include/uapi/linux/time.h */
const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;

/** CLOCK_MONOTONIC in nanoseconds, which all processes of the machine share; the runtime's own count from its start. */
export function monotonicNanos(): bigint {
  const spec = new BigUint64Array(2);
  if (libc.clock_gettime(CLOCK_MONOTONIC, spec) === -1)
    throw new SysError(lastErrno(), "clock_gettime", "CLOCK_MONOTONIC");
  const [seconds = 0n, nanos = 0n] = spec;
  return seconds * 1_000_000_000n + nanos;
}

/** A time since 1970. */
export interface SystemTime {
  /** Whole seconds. */
  readonly seconds: number;
  /** 0 to 999,999,999. */
  readonly nanos: number;
}

/** CLOCK_REALTIME as it is now; the runtime's own clocks are either coarser, or don't follow when the system's is set. */
export function systemTime(): SystemTime {
  // struct timespec: two 64-bit words, of which little-endian machines have the lower half first.
  const spec = new Uint32Array(4);
  if (libc.clock_gettime(CLOCK_REALTIME, asBytes(spec)) === -1)
    throw new SysError(lastErrno(), "clock_gettime", "CLOCK_REALTIME");
  const [low = 0, high = 0, nanos = 0] = spec;
  return { seconds: high * 2 ** 32 + low, nanos };
}
