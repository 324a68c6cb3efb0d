/**
 * The seam to a foreign function loader: all that `libc.ts` needs of one. Which one it is `package.json` says (`#ffi`): Bun's own under
 * Bun, koffi's elsewhere.
 *
 *   bind(call) ──► a function that makes the call        errorNumber() ──► errno, as this thread's last call left it
 */

import type { Call } from "../calls.ts";

/** An address in this process's memory. */
export type Address = number;

/** What a loader gives. */
export interface ForeignFunctions {
  /** Looks a function of libc up. What it takes and gives is as `calls.ts` has it. */
  bind(symbol: string, call: Call): unknown;
  /** Read first thing after a call. */
  errorNumber(): number;
  /** Where a buffer lies. */
  address(bytes: NodeJS.TypedArray): Address;
}

export const library = "libc.so.6";
